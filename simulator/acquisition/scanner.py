"""The scan: k-space of a phantom, with the contrast of the sequence at every single spoke."""

from collections.abc import Callable
from functools import partial

import finufft
import numpy as np
import torch
from numpy.typing import NDArray

from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.expansion.signal_expansion import TissueRange, TrainSignal, expand, signal_terms
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["acquire"]

Complex = NDArray[np.complex64]

EXPANSION_TOLERANCE = 3e-5
NUFFT_TOLERANCE = 1e-5


def acquire(
    phantom: Phantom,
    sensitivities: Complex,
    sequence: PulseSequence,
    readout: Sampling,
    signal: TrainSignal | None = None,
    *,
    progress: Callable[[float], object] | None = None,
    tolerance: float = EXPANSION_TOLERANCE,
    threads: int = 2,
) -> Complex:
    """Noise-free k-space: s(k) = sum over pixels of c(r) rho(r) signal(r, spoke, time) exp(-2 pi i k.r).

    r is in fields of view from pixel n//2, k in cycles per field of view. Every voxel has the train of its own T1, T2
    and B1. The phase of off-resonance and of the fat spectrum builds up from the excitation to every single sample, so
    that fat is blurred and off-resonant tissue is distorted as on a scanner. T2* decay along the readout is not
    modelled. Off-resonance does not change the train, which is right for ideal spoiling and for gradient spoiling with
    a constant TR.

    The signal is expanded into few terms (`simulator/expansion/signal_expansion.py`); each term is transformed once, to
    all spokes of its echo time. The result is exact up to `tolerance` and `NUFFT_TOLERANCE`.

    Args:
        phantom: maps (y, x).
        sensitivities: (coils, y, x).
        sequence: the sequence, with one spoke for each excitation.
        readout: positions and times of the samples.
        signal: signal of one pool; None takes the `fingerprint` of the sequence.
        progress: called with the fraction of the work that has just been done; the fractions add up to 1.
        tolerance: of the expansion, see `signal_terms`.
        threads: of the transforms.

    Returns:
        (coils, spokes, samples)

    Raises InputError for balanced trains, and ValueError, a programming error, when shapes do not fit each other.

    """
    if sensitivities.ndim != 3 or sensitivities.shape[1:] != phantom.pd.shape:
        raise ValueError(f"Sensitivities {sensitivities.shape} do not fit a phantom of {phantom.pd.shape} pixels.")
    if len(readout) != len(sequence):
        raise ValueError(f"The readout has {len(readout)} spokes, the sequence {len(sequence)}.")
    kspace = torch.zeros((len(sensitivities), *readout.k.shape[:2]), dtype=torch.complex64)
    tissue = phantom.pd > 0
    if not tissue.any():
        return kspace.numpy()
    signal = signal or partial(fingerprint, sequence)
    terms = signal_terms(sequence, signal, readout.time_ms, TissueRange.of(phantom), tolerance)
    images = expand(phantom, terms)
    work = sum(len(group.pairs) * len(group.spokes) for group in terms)
    for group, coefficients in zip(terms, images, strict=True):
        transform, phase = _coil_transform(readout.k[group.spokes], sensitivities, _box(tissue), threads)
        received = torch.zeros((len(sensitivities), len(group.spokes), len(readout.time_ms)), dtype=torch.complex64)
        for (train, evolution), coefficient in zip(group.pairs, coefficients, strict=True):
            image = np.zeros(tissue.shape, np.complex64)
            image[tissue] = coefficient
            weight = np.outer(group.trains[train], group.evolutions[evolution]).astype(np.complex64)
            received.addcmul_(torch.from_numpy(transform(image)), torch.from_numpy(weight))
            if progress:
                progress(len(group.spokes) / work)
        kspace[:, torch.from_numpy(group.spokes)] = received * phase
    return kspace.numpy()


def _box(tissue: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The part of the image that holds all tissue; it saves the transform of empty pixels."""
    rows, columns = (np.flatnonzero(tissue.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _coil_transform(
    k: NDArray[np.float64], sensitivities: Complex, box: tuple[slice, slice], threads: int
) -> tuple[Callable[[Complex], Complex], torch.Tensor]:
    """The transform from an image (y, x), empty outside the box, to the signal of all coils at k (spokes, samples, 2).

    The signal is the result of the transform (coils, spokes, samples) times the phase (spokes, samples): the origin of
    the transform is the middle of the box, the origin of the image is its own middle.
    """
    shape, inside = sensitivities.shape[1:], np.ascontiguousarray(sensitivities[:, *box])
    n_coils, *size = inside.shape
    plan = finufft.Plan(
        2, tuple(size), n_coils, NUFFT_TOLERANCE, -1, dtype="complex64", nthreads=threads, upsampfac=2.0
    )
    y, x = (2 * np.pi / n * component for n, component in zip(shape, k.reshape(-1, 2).T[::-1], strict=True))
    plan.setpts(y.astype(np.float32), x.astype(np.float32))
    down, right = (part.start + m // 2 - n // 2 for part, m, n in zip(box, size, shape, strict=True))
    phase = np.exp(-1j * (down * y + right * x)).astype(np.complex64).reshape(k.shape[:2])
    return (
        lambda image: plan.execute(inside * image[box]).reshape(n_coils, *k.shape[:2]),
        torch.from_numpy(phase),
    )
