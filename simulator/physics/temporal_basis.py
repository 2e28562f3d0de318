"""Temporal bases: weighted sums of the spokes of a train give few images. Frames are one such basis."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import frame_means

__all__ = ["TemporalBasis", "compressed_basis", "frame_basis", "frame_means", "frame_noise", "window_basis"]

ALIASING = 0.3
"""Standard deviation of the aliasing of few spokes, relative to the signal of the frame. The optimum is flat: values
from 0.15 to 0.6 are nearly as good."""
THERMAL = 0.1
"""Standard deviation of receiver noise, relative to the signal of the mean frame. It limits the weights of frames in
which tissue is nulled."""


@dataclass(frozen=True, eq=False)
class TemporalBasis:
    """A temporal basis: image k is the sum over frames of weights[f, k] times the image of frame f.

    A frame is `spokes_per_frame` consecutive spokes, and its signal is their mean. No image mixes echo times, so that
    off-resonance multiplies image k by one phase factor, exp(-2 pi i deltaf TE_k).
    """

    weights: NDArray[np.float32]
    """(frames, K) weights; the identity gives the frames themselves."""
    te_ms: NDArray[np.float64]
    """(K,) echo time of every image."""
    spokes_per_frame: int
    """Number of consecutive spokes in a frame."""
    noise: NDArray[np.float32]
    """(K,) expected standard deviation of noise and aliasing in every image, up to a common factor."""

    @property
    def is_windows(self) -> bool:
        """Whether every image is a multiple of the sum of some frames, as the mean of a window is, or a frame."""
        return bool(np.all((self.weights == 0) | (self.weights == self.weights.max(axis=0))))

    @cached_property
    def independent(self) -> NDArray[np.intp]:
        """The numbers of images whose noise is uncorrelated.

        They are all images, except that of windows that overlap only those are taken that share no frame.
        """
        images = np.arange(self.weights.shape[1])
        if not self.is_windows:
            return images
        chosen: list[int] = []
        taken = np.zeros(len(self.weights), bool)
        for image in images:
            frames = self.weights[:, image] != 0
            if not (taken & frames).any():
                taken |= frames
                chosen.append(int(image))
        return np.array(chosen, np.intp)

    @property
    def unmeasured_te_ms(self) -> list[float]:
        """The echo times of which no frame is left; see `without`."""
        echoes = [(te_ms, self.te_ms == te_ms) for te_ms in np.unique(self.te_ms)]
        return [float(te_ms) for te_ms, images in echoes if not self.weights[:, images].any()]

    def only(self, images: NDArray[np.intp]) -> "TemporalBasis":
        """The basis of some of the images."""
        return replace(self, weights=self.weights[:, images], te_ms=self.te_ms[images], noise=self.noise[images])

    def without(self, missing: list[int]) -> "TemporalBasis":
        """The basis for a slice in which these frames are missing, with weights of 0 for them."""
        weights = self.weights.copy()
        weights[missing] = 0
        return replace(self, weights=weights)

    def project(self, trains: NDArray[np.float64]) -> NDArray[np.float64]:
        """The coefficients (..., K) of signals that are given at every spoke (..., spokes)."""
        return frame_means(trains, self.spokes_per_frame) @ self.weights.astype(np.float64)


def frame_noise(atoms: NDArray[np.float64], spokes_per_frame: int) -> NDArray[np.float64]:
    """The expected standard deviation of noise and aliasing in every frame, in units of the atoms.

    With few spokes there is aliasing, which is proportional to the signal of the frame: bright frames are noisy frames.
    If all frames have the same weight in a fit, the aliasing of the brightest frames dominates. With inverse variances
    as weights, the errors of FF and T1 in a thigh are a third smaller (`benchmarks/README.md`).

    Args:
        atoms: (atoms, spokes) signals that represent the tissue.
        spokes_per_frame: number of spokes in a frame.

    """
    means = frame_means(atoms, spokes_per_frame)
    power = np.mean(means**2, axis=0)
    return np.asarray(np.sqrt(ALIASING**2 * power + (THERMAL * np.abs(means).mean()) ** 2))


def frame_basis(sequence: PulseSequence, atoms: NDArray[np.float64] | None = None) -> TemporalBasis:
    """The basis in which the images are the frames.

    Args:
        sequence: the pulse sequence.
        atoms: (atoms, spokes) signals from which the noise of every frame is estimated; None gives all the same noise.

    Raises ValueError if a frame mixes echo times.

    """
    m = sequence.spokes_per_frame
    starts = np.arange(0, len(sequence), m)
    te = np.round(sequence.te_ms[starts], 6)
    if not np.allclose(np.repeat(te, m)[: len(sequence)], sequence.te_ms):
        raise InputError(f"A frame of {m} spokes mixes echo times; choose spokes_per_frame so that none does.")
    noise = np.ones(len(starts)) if atoms is None else frame_noise(atoms, m)
    return TemporalBasis(np.eye(len(starts), dtype=np.float32), te, m, (noise / noise.mean()).astype(np.float32))


def window_basis(
    sequence: PulseSequence, window: int, stride: int, atoms: NDArray[np.float64] | None = None
) -> TemporalBasis:
    """The basis in which an image is the mean of the frames of a window, which slides along the train.

    Windows hold one echo time each, and slide from the first to the last spoke of every run of spokes that have it. If
    strides do not end at the last spoke of a run, one more window does, so that every spoke is in an image. A window of
    48 spokes with a stride of 1 gives 673 images of 720 spokes (Balsiger et al., MLMIR 2018, LNCS 11074:39).

    Windows that overlap have common spokes, and the noise of their images is correlated. `noise` holds the standard
    deviations alone.

    Args:
        sequence: the pulse sequence.
        window: number of consecutive spokes in a window, a multiple of `spokes_per_frame`.
        stride: number of spokes from one window to the next, a multiple of `spokes_per_frame`.
        atoms: (atoms, spokes) signals from which the noise of every frame is estimated; None gives all the same noise.

    Raises InputError if a frame mixes echo times, if window and stride are no whole frames, or if a run is shorter than
    the window.

    """
    frames, m = frame_basis(sequence, atoms), sequence.spokes_per_frame
    if window % m or stride % m or min(window, stride) < 1:
        raise InputError(
            f"A frame of '{sequence.name}' has {m} readouts; choose a window and a stride that are multiples of it, "
            f"not {window} and {stride}."
        )
    width, step = window // m, stride // m
    ends = [*(np.flatnonzero(np.diff(frames.te_ms)) + 1).tolist(), len(frames.te_ms)]
    firsts: list[int] = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        if end - begin < width:
            raise InputError(
                f"A window of {window} readouts does not fit into {(end - begin) * m} consecutive readouts of the echo "
                f"time {frames.te_ms[begin]:g} ms; choose a shorter window."
            )
        last = end - width
        firsts += [*range(begin, last, step), last]
    number = np.arange(len(frames.te_ms))[:, None]
    weights = ((number >= firsts) & (number < np.array(firsts) + width)).astype(np.float32) / np.float32(width)
    noise = np.sqrt((weights.astype(np.float64) ** 2).T @ frames.noise.astype(np.float64) ** 2)
    return TemporalBasis(weights, frames.te_ms[firsts], m, (noise / noise.mean()).astype(np.float32))


def compressed_basis(sequence: PulseSequence, atoms: NDArray[np.float64], tolerance: float = 1e-6) -> TemporalBasis:
    """The basis of leading singular vectors of the dictionary's frames, for every echo time separately.

    Frames are divided by their noise before. The images therefore have equal and uncorrelated noise, and comparing them
    with atoms is equivalent to comparing weighted frames.

    Args:
        sequence: the pulse sequence, which determines echo times and frames.
        atoms: (atoms, spokes) real signals of water and fat.
        tolerance: fraction of the energy that may be lost for each echo time.

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
