"""Temporal bases: few weighted sums of the frames of a train. The frames themselves are a basis, too."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import frame_means

__all__ = ["TemporalBasis", "compressed_basis", "frame_basis", "frame_means", "frame_noise"]

ALIASING = 0.3
"""Aliasing of a frame, over its signal (the optimum is flat: 0.15 to 0.6 do nearly as well)."""
THERMAL = 0.1
"""Receiver noise over the mean frame's signal; it bounds the weight of frames in which tissue is nulled."""


@dataclass(frozen=True, eq=False)
class TemporalBasis:
    """Image k is the sum over frames of weights[f, k] times the image of frame f.

    A frame is `spokes_per_frame` consecutive spokes and its fingerprint their mean. No image mixes echo times,
    so that off-resonance gives image k the one phase exp(-2 pi i deltaf TE_k).
    """

    weights: NDArray[np.float32]
    """(frames, K); the identity gives the frames themselves."""
    te_ms: NDArray[np.float64]
    """(K,) echo time of every image."""
    spokes_per_frame: int
    noise: NDArray[np.float32]
    """(K,) expected standard deviation of noise and aliasing in every image, up to a common factor."""

    @property
    def is_frames(self) -> bool:
        """Whether the images are the frames themselves."""
        f, k = self.weights.shape
        return f == k and bool(np.array_equal(self.weights, np.eye(k)))

    def without(self, missing: list[int]) -> "TemporalBasis":
        """The same images of a slice in which these frames are missing: atoms must lack them too."""
        weights = self.weights.copy()
        weights[missing] = 0
        return replace(self, weights=weights)

    def project(self, trains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients (..., K) of signals given at every spoke (..., spokes)."""
        return frame_means(trains, self.spokes_per_frame) @ self.weights.astype(np.float64)


def frame_noise(atoms: NDArray[np.float64], spokes_per_frame: int) -> NDArray[np.float64]:
    """Expected standard deviation of the errors in every frame, in units of the atoms.

    Few spokes alias, and aliasing is proportional to the signal of a frame, so that bright frames are noisy ones.
    With equal weights, the aliasing of the brightest frames dominates a fit; with weights of the inverse variance,
    errors of FF and T1 in a thigh fall by a third (`benchmarks/README.md`).

    Args:
        atoms: (atoms, spokes) signals that stand for the tissue.
        spokes_per_frame: the number of spokes in a frame.

    """
    means = frame_means(atoms, spokes_per_frame)
    power = np.mean(means**2, axis=0)
    return np.asarray(np.sqrt(ALIASING**2 * power + (THERMAL * np.abs(means).mean()) ** 2))


def frame_basis(sequence: PulseSequence, atoms: NDArray[np.float64] | None = None) -> TemporalBasis:
    """One image per frame; `atoms` (atoms, spokes) give their noise; without atoms all have the same.

    Raises InputError when a frame mixes echo times.
    """
    m = sequence.spokes_per_frame
    starts = np.arange(0, len(sequence), m)
    te = np.round(sequence.te_ms[starts], 6)
    if not np.allclose(np.repeat(te, m)[: len(sequence)], sequence.te_ms):
        raise InputError(f"A frame of {m} spokes mixes echo times; choose spokes_per_frame so that none does.")
    noise = np.ones(len(starts)) if atoms is None else frame_noise(atoms, m)
    return TemporalBasis(np.eye(len(starts), dtype=np.float32), te, m, (noise / noise.mean()).astype(np.float32))


def compressed_basis(sequence: PulseSequence, atoms: NDArray[np.float64], tolerance: float = 1e-6) -> TemporalBasis:
    """Per echo time, the leading singular vectors of the dictionary's frames, weighted by the inverse of their noise.

    The images then have equal, uncorrelated noise, and comparing them with atoms compares weighted frames.

    Args:
        sequence: gives echo times and frames.
        atoms: (atoms, spokes) real signals of water and fat.
        tolerance: fraction of the energy that may be lost in each echo-time group.

    """
    frames = frame_basis(sequence, atoms)
    weighted = frame_means(atoms, frames.spokes_per_frame) / frames.noise
    columns, te_ms = [], []
    for te in np.unique(frames.te_ms):
        group = frames.te_ms == te
        # eigenvectors of the small Gram matrix: frames are few, atoms are many
        energy, vectors = np.linalg.eigh(weighted[:, group].T @ weighted[:, group])
        energy, vectors = energy[::-1], vectors[:, ::-1]
        rank = int(np.searchsorted(np.cumsum(energy), (1 - tolerance) * energy.sum())) + 1
        padded = np.zeros((len(group), rank))
        padded[group] = vectors[:, :rank]
        columns.append(padded)
        te_ms += [te] * rank
    weights = np.hstack(columns) / frames.noise[:, None]
    return TemporalBasis(
        weights.astype(np.float32), np.array(te_ms), frames.spokes_per_frame, np.ones(len(te_ms), np.float32)
    )
