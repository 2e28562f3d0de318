"""A head of three tissues with a dome of B1, whose fingerprints are computed by Bloch's equations."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_means

SHAPE = (83, 91)
T1_MS, T2_MS = np.array([830.0, 1150.0, 1400.0]), np.array([75.0, 90.0, 110.0])
B1 = np.linspace(0.8, 1.2, 41)


def head(
    sequence: PulseSequence,
    basis: TemporalBasis,
    efficiency: float,
    seed: int = 1,
    aliasing: float = 0.2,
    side: int = 1,
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Coefficients (K, y, x) with the noise of few spokes, T1 and T2 in ms, and a dome of B1.

    Args:
        sequence: the pulse sequence.
        basis: the temporal basis.
        efficiency: inversion efficiency.
        seed: of tissue and noise.
        aliasing: standard deviation of the noise, over the signal.
        side: side of squares of one tissue in pixels.

    """
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    level = np.rint(100 * (0.38 - 0.16 * (x - 0.2) ** 2 - 0.08 * y**2 + 0.04 * x * y)).astype(int)
    squares = rng.integers(len(T1_MS), size=[-(-n // side) for n in SHAPE])
    tissue = squares.repeat(side, axis=0).repeat(side, axis=1)[: SHAPE[0], : SHAPE[1]]
    trains = fingerprint(
        sequence, T1_MS[:, None], T2_MS[:, None], b1=B1, inversion_efficiency=efficiency, engine="bloch"
    )
    signal = frame_means(np.asarray(trains).real, basis.spokes_per_frame)[tissue, level]
    level_of_noise = aliasing * (np.abs(signal) + np.abs(signal).mean() / 2)
    signal = signal + level_of_noise * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    coefficients = np.tensordot(3j * signal, basis.weights, 1).transpose(2, 0, 1)
    return (
        coefficients.astype(np.complex64),
        T1_MS[tissue].astype(np.float32),
        T2_MS[tissue].astype(np.float32),
        B1[level],
    )
