"""Temporal bases: how the spokes of a train are weighed into few images. Frames are a subspace too."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import frame_means

__all__ = ["TemporalBasis", "compressed_basis", "frame_basis", "frame_means", "frame_noise"]

ALIASING = 0.3
"""Of a frame's signal, what few spokes scatter over the image (the optimum is flat: 0.15 to 0.6 do nearly as well)."""
THERMAL = 0.1
"""Receiver noise, of the mean frame's signal; bounds the weight of frames in which tissue is nulled."""


@dataclass(frozen=True, eq=False)
class TemporalBasis:
    """Image k is the sum over frames of weights[f, k] times the image of frame f.

    A frame is `spokes_per_frame` consecutive spokes and its fingerprint their mean. No image mixes echo times,
    so that off-resonance turns image k by the one phase exp(-2 pi i deltaf TE_k).
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

    Few spokes alias, and what they scatter is a share of what the frame holds: bright frames are noisy ones.
    A fit that weighs all frames alike lets the aliasing of the brightest drown the rest; weighed by its inverse
    variance, errors of FF and T1 in a thigh fall by a third (`benchmarks/README.md`).

    Args:
        atoms: (atoms, spokes) signals that stand for the tissue.
        spokes_per_frame: of the sequence.

    """
    means = frame_means(atoms, spokes_per_frame)
    power = np.mean(means**2, axis=0)
    return np.asarray(np.sqrt(ALIASING**2 * power + (THERMAL * np.abs(means).mean()) ** 2))


def frame_basis(sequence: PulseSequence, atoms: NDArray[np.float64] | None = None) -> TemporalBasis:
    """One image per frame; `atoms` (atoms, spokes) tell their noise, else all have the same.

    Raises ValueError when a frame mixes echo times.
    """
    m = sequence.spokes_per_frame
    starts = np.arange(0, len(sequence), m)
    te = np.round(sequence.te_ms[starts], 6)
    if not np.allclose(np.repeat(te, m)[: len(sequence)], sequence.te_ms):
        raise ValueError(f"a frame of {m} spokes mixes echo times")
    noise = np.ones(len(starts)) if atoms is None else frame_noise(atoms, m)
    return TemporalBasis(np.eye(len(starts), dtype=np.float32), te, m, (noise / noise.mean()).astype(np.float32))


def compressed_basis(sequence: PulseSequence, atoms: NDArray[np.float64], tolerance: float = 1e-6) -> TemporalBasis:
    """Per echo time, the leading singular vectors of the dictionary's frames, all weighed by their noise.

    The images have equal, uncorrelated noise then, and comparing them with atoms is comparing weighed frames.

    Args:
        sequence: gives echo times and frames.
        atoms: (atoms, spokes) real signals of water and fat.
        tolerance: share of the energy that may be lost in each echo-time group.

    """
    frames = frame_basis(sequence, atoms)
    weighed = frame_means(atoms, frames.spokes_per_frame) / frames.noise
    columns, te_ms = [], []
    for te in np.unique(frames.te_ms):
        group = frames.te_ms == te
        # eigenvectors of the small Gram matrix: frames are few, atoms are many
        energy, vectors = np.linalg.eigh(weighed[:, group].T @ weighed[:, group])
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
