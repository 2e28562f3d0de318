"""The input of networks: the temporal coefficients of a slice, expanded and scaled as in each paper."""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_means
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence

__all__ = [
    "CoefficientRms",
    "EvenCoefficients",
    "EvenIterativeCoefficients",
    "FrameEnergy",
    "FrameMagnitude",
    "FrameZScore",
    "Normalisation",
    "UnitCoefficients",
    "expansion",
]


NOISE_SIZE = {ADJOINT: 0.2, ITERATIVE: 0.01}
"""Root mean square of noise and aliasing in a weak coefficient, relative to that of all coefficients in tissue: between
0.15 and 0.35 in images of the adjoint of simulated brains of 128 pixels with 576 spokes. In iterative images of such
brains, of 256 pixels, the weakest of 14 coefficients have the size of those of the dictionary, 0.005 to 0.02."""


def expansion(basis: TemporalBasis, trains: NDArray[np.float64]) -> NDArray[np.float32]:
    """The matrix (frames, K) that recovers frames from their coefficients, by least squares over the signals.

    Networks that were published for all frames get the part of the frames that the basis keeps. Frames and windows of
    frames are passed on unchanged, because networks were published for these. Otherwise the matrix is block diagonal:
    off-resonance gives every echo time its own phase, so that echo times must not be mixed.

    Args:
        basis: basis of the coefficients; for a basis of frames or windows the matrix is the identity (K, K).
        trains: (signals, spokes) signals of tissue.

    """
    if basis.is_windows:
        return np.eye(basis.weights.shape[1], dtype=np.float32)
    means = frame_means(trains, basis.spokes_per_frame)
    matrix = np.zeros(basis.weights.shape)
    for te in np.unique(basis.te_ms):
        images = basis.te_ms == te
        group = np.any(basis.weights[:, images] != 0, axis=1)
        coefficients = means @ basis.weights[:, images].astype(np.float64)
        matrix[np.ix_(group, images)] = np.linalg.lstsq(coefficients, means[:, group], rcond=None)[0].T
    return matrix.astype(np.float32)


class Normalisation(nn.Module):
    """Computes the channels of a network from the coefficients of a whole slice.

    `forward(coefficients, foreground, efficiency)` takes (2K, y, x) float32, (y, x) bool and the efficiency of the
    inversion, and returns (channels, y, x). Real and imaginary parts are interleaved in both, but where the output has
    magnitudes.

    Args:
        n_images: number of images in the output.

    """

    words: ClassVar[str]
    """The description that an archive's contract gives to people."""

    def __init__(self, n_images: int) -> None:
        super().__init__()
        self.n_images = n_images

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """The normalisation for the coefficients of this basis and sequence."""
        raise NotImplementedError


class FrameNormalisation(Normalisation):
    """Scales the frames of every fingerprint to energy 1 and phase 0, which means that their sum is real and positive.

    Networks that were published for simulated fingerprints were trained without receive coils, and networks for the
    images of one scanner with few. With arbitrary receive phases they train slowly and badly. Scaling also matters for
    air: the loss ignores background, so its activations are unconstrained and would distort the batch statistics,
    according to how much air there is in a batch.

    Args:
        expand: (T, K) from `expansion`; the output has T images.

    """

    expand: Tensor

    def __init__(self, expand: NDArray[np.float32]) -> None:
        super().__init__(len(expand))
        self.register_buffer("expand", torch.from_numpy(expand))

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """The normalisation whose expansion fits the atoms of the sequence's dictionary."""
        return cls(expansion(basis, model_of_sequence(sequence).dictionary(sequence).atoms))

    def _unit(self, coefficients: Tensor) -> Tensor:
        """Coefficients (K, 2, y, x), real and imaginary parts, whose frames have energy 1 and phase 0."""
        y, x = coefficients.shape[1:]
        # the energy and the sum of the frames are computed from the coefficients, which are ten times fewer
        parts = coefficients.reshape(-1, 2 * y * x)
        energy = (torch.linalg.qr(self.expand, mode="r").R @ parts).reshape(-1, 2, y, x).square().sum((0, 1))
        whole = (self.expand.sum(0) @ parts).reshape(2, y, x)
        phasor = whole * torch.rsqrt(whole.square().sum(0).clamp_min(1e-30)) * torch.rsqrt(energy.clamp_min(1e-30))
        real, imaginary, c, s = coefficients[0::2], coefficients[1::2], phasor[0], phasor[1]
        return torch.stack((real * c + imaginary * s, imaginary * c - real * s), 1)


class FrameEnergy(FrameNormalisation):
    """Frames with energy 1 and phase 0, like the atoms of a dictionary."""

    words = "every fingerprint's frames to energy 1 and phase 0"

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        y, x = coefficients.shape[1:]
        return (self.expand @ self._unit(coefficients).flatten(1)).reshape(-1, y, x)


class UnitCoefficients(FrameNormalisation):
    """The coefficients of fingerprints whose frames have energy 1 and phase 0, in the order of the basis.

    At one echo time these are the coefficients of the dictionary's singular vectors, the strongest first.
    """

    words = "coefficients of every fingerprint, whose frames have energy 1 and phase 0"

    def __init__(self, expand: NDArray[np.float32]) -> None:
        super().__init__(expand)
        self.n_images = expand.shape[1]

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        return self._unit(coefficients).flatten(0, 1)


class FrameMagnitude(FrameNormalisation):
    """Magnitudes of the frames, one channel each, with energy 1 (Cohen et al. 2018)."""

    words = "magnitudes of every fingerprint's frames, to energy 1"

    def __init__(self, expand: NDArray[np.float32]) -> None:
        super().__init__(expand)
        self.has_frames = np.array_equal(expand, np.eye(*expand.shape, dtype=np.float32))

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (images, y, x); see `Normalisation`."""
        y, x = coefficients.shape[1:]
        parts = coefficients.reshape(-1, 2 * y * x)
        if not self.has_frames:
            parts = self.expand @ parts
        power = parts.reshape(-1, 2, y, x).square().sum(1)
        return power.sqrt() * torch.rsqrt(power.sum(0).clamp_min(1e-30))


class FrameZScore(FrameNormalisation):
    """Real and imaginary parts, each with mean 0 and standard deviation 1 over the slice (Balsiger et al. 2020)."""

    words = (
        "every fingerprint's frames to energy 1 and phase 0, then real and imaginary parts to mean 0 and standard "
        "deviation 1 over the foreground"
    )

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        y, x = coefficients.shape[1:]
        parts = self._unit(coefficients)
        # mean and standard deviation are over all frames as well as all pixels
        of_tissue, expand = parts[:, :, foreground].movedim(1, 0).double(), self.expand.double()
        n = len(expand) * of_tissue.shape[2]
        mean = of_tissue.sum(2) @ expand.sum(0) / n
        power = ((expand.T @ expand) * (of_tissue @ of_tissue.mT)).sum((1, 2))
        std = ((power - n * mean.square()) / (n - 1)).clamp_min(1e-30).sqrt()
        scaled = parts / std.float()[:, None, None]
        level = (-mean / std).float()[:, None, None].expand(2, y, x)
        matrix = torch.cat((self.expand, torch.ones_like(self.expand[:, :1])), 1)
        return (matrix @ torch.cat((scaled, level[None])).flatten(1)).reshape(-1, y, x)


def to_unit_power(coefficients: Tensor, foreground: Tensor, n_images: int) -> Tensor:
    """The factor that gives coefficients (2K, y, x) a mean power of 1 over the foreground."""
    power = coefficients[:, foreground].square().sum() / (n_images * foreground.sum())
    return torch.rsqrt(power.clamp_min(1e-30))


def conditioned(channels: Tensor, efficiency: float) -> Tensor:
    """The channels, and a last one that holds the inversion efficiency."""
    return torch.cat((channels, torch.full_like(channels[:1], (efficiency - 0.95) / 0.05)))


class CoefficientRms(Normalisation):
    """The coefficients, scaled to mean power 1 over the slice; the last channel is the inversion efficiency."""

    words = "coefficients to mean power 1 over the foreground, and a channel with (inversion efficiency - 0.95) / 0.05"

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """The normalisation with as many images as the basis has."""
        return cls(len(basis.te_ms))

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        return conditioned(coefficients * to_unit_power(coefficients, foreground, self.n_images), efficiency)


class EvenCoefficients(CoefficientRms):
    """The coefficients as in `CoefficientRms`, each divided by its usual size.

    At one echo time the images of a compressed basis are in the order of their strength, so that the inputs of a
    network differ in size. In early epochs T2 was better with this normalisation than with `CoefficientRms`, and T1 was
    not; no training has been compared to its end.

    Args:
        size: (K,) root mean square of every coefficient, relative to that of all.

    """

    words = (
        "coefficients to mean power 1 over the foreground, each over its size in the dictionary with noise, and a "
        "channel with (inversion efficiency - 0.95) / 0.05"
    )
    images: ClassVar[str] = ADJOINT
    per_size: Tensor

    def __init__(self, size: NDArray[np.float32]) -> None:
        super().__init__(len(size))
        self.register_buffer("per_size", torch.from_numpy(np.repeat(1 / size, 2)))

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """The normalisation for the atoms of the sequence's dictionary, with noise and aliasing of the usual size."""
        coefficients = basis.project(model_of_sequence(sequence).dictionary(sequence).atoms)
        power = np.square(coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True)).mean(0)
        size = np.sqrt(len(power) * power + NOISE_SIZE[cls.images] ** 2)
        return cls(size.astype(np.float32))

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        scale = self.per_size[:, None, None] * to_unit_power(coefficients, foreground, self.n_images)
        return conditioned(coefficients * scale, efficiency)


class EvenIterativeCoefficients(EvenCoefficients):
    """The same for iterative images, in which weak coefficients have less noise.

    The mask of the node has a rim in which the adjoint is blurred and iterative images are dark. The mean power is
    weighted by the power, so that this rim has no effect.
    """

    images = ITERATIVE
    words = (
        "coefficients to mean power 1 over the foreground, weighted by the power, each over its size in the dictionary "
        "with noise, and a channel with (inversion efficiency - 0.95) / 0.05"
    )

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """The channels (channels, y, x); see `Normalisation`."""
        power = coefficients[:, foreground].square().sum(0) / self.n_images
        level = power.square().sum() / power.sum().clamp_min(1e-30)
        scale = self.per_size[:, None, None] * torch.rsqrt(level.clamp_min(1e-30))
        return conditioned(coefficients * scale, efficiency)
