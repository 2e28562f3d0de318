"""What networks are fed: a slice's temporal coefficients, expanded and scaled as each paper does."""

from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_means

__all__ = ["CoefficientRms", "FrameEnergy", "FrameZScore", "Normalisation", "expansion"]


def expansion(basis: TemporalBasis, trains: NDArray[np.float64]) -> NDArray[np.float32]:
    """The matrix (frames, K) that gives back the frames whose coefficients are known, least squares over signals.

    Networks that were published for all frames eat what the basis keeps of them. It is block diagonal: off-resonance
    turns every echo time by a phase of its own, so that none may leak into another.

    Args:
        basis: that the coefficients refer to; that of frames gives the identity.
        trains: (signals, spokes) of tissue.

    """
    frames = len(basis.weights)
    if basis.is_frames:
        return np.eye(frames, dtype=np.float32)
    means = frame_means(trains, basis.spokes_per_frame)
    matrix = np.zeros(basis.weights.shape)
    for te in np.unique(basis.te_ms):
        images = basis.te_ms == te
        group = np.any(basis.weights[:, images] != 0, axis=1)
        coefficients = means @ basis.weights[:, images].astype(np.float64)
        matrix[np.ix_(group, images)] = np.linalg.lstsq(coefficients, means[:, group], rcond=None)[0].T
    return matrix.astype(np.float32)


class Normalisation(nn.Module):
    """Turns the coefficients of a whole slice into the channels of a network, real and imaginary parts interleaved.

    `forward(coefficients, foreground, efficiency)` takes (2K, y, x) float32, (y, x) bool and the efficiency of the
    inversion, and gives (channels, y, x).

    Args:
        n_images: that leave.

    """

    words: ClassVar[str]
    """For people, in the archive's contract."""

    def __init__(self, n_images: int) -> None:
        super().__init__()
        self.n_images = n_images

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """The one for the coefficients of a basis of a sequence."""
        raise NotImplementedError


class FrameNormalisation(Normalisation):
    """Begins with the frames of every fingerprint at energy 1 and phase 0: their sum is real and positive.

    Networks that were published for simulated fingerprints never met a receive coil, those for a single scanner's
    images few. Of all phases they learn slowly, and little. And air would be a uniform darkness of which no loss asks
    anything: what networks make of it grows without bounds and takes their batch normalisation with it, by how much
    air there is in a batch.

    Args:
        expand: (T, K) from `expansion`; T images leave.

    """

    expand: Tensor

    def __init__(self, expand: NDArray[np.float32]) -> None:
        super().__init__(len(expand))
        self.register_buffer("expand", torch.from_numpy(expand))

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """Frames as tissue has them that the sequence's dictionary holds."""
        return cls(expansion(basis, build_dictionary(sequence).atoms))

    def _unit(self, coefficients: Tensor) -> Tensor:
        """(K, 2, y, x) real and imaginary parts of the coefficients whose frames have energy 1 and phase 0."""
        y, x = coefficients.shape[1:]
        # energy and sum of the frames follow from the coefficients, which are ten times fewer
        parts = coefficients.reshape(-1, 2 * y * x)
        energy = (torch.linalg.qr(self.expand, mode="r").R @ parts).reshape(-1, 2, y, x).square().sum((0, 1))
        whole = (self.expand.sum(0) @ parts).reshape(2, y, x)
        phasor = whole * torch.rsqrt(whole.square().sum(0).clamp_min(1e-30)) * torch.rsqrt(energy.clamp_min(1e-30))
        real, imaginary, c, s = coefficients[0::2], coefficients[1::2], phasor[0], phasor[1]
        return torch.stack((real * c + imaginary * s, imaginary * c - real * s), 1)


class FrameEnergy(FrameNormalisation):
    """Fingerprints as dictionaries have them."""

    words = "every fingerprint's frames to energy 1 and phase 0"

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """See the class."""
        y, x = coefficients.shape[1:]
        return (self.expand @ self._unit(coefficients).flatten(1)).reshape(-1, y, x)


class FrameZScore(FrameNormalisation):
    """Real and imaginary parts each with mean 0 and standard deviation 1 over the slice (Balsiger et al. 2020)."""

    words = (
        "every fingerprint's frames to energy 1 and phase 0, then real and imaginary parts to mean 0 and standard "
        "deviation 1 over the foreground"
    )

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """See the class."""
        y, x = coefficients.shape[1:]
        parts = self._unit(coefficients)
        # sums over all frames, too
        of_tissue, expand = parts[:, :, foreground].movedim(1, 0).double(), self.expand.double()
        n = len(expand) * of_tissue.shape[2]
        mean = of_tissue.sum(2) @ expand.sum(0) / n
        power = ((expand.T @ expand) * (of_tissue @ of_tissue.mT)).sum((1, 2))
        std = ((power - n * mean.square()) / (n - 1)).clamp_min(1e-30).sqrt()
        scaled = parts / std.float()[:, None, None]
        level = (-mean / std).float()[:, None, None].expand(2, y, x)
        matrix = torch.cat((self.expand, torch.ones_like(self.expand[:, :1])), 1)
        return (matrix @ torch.cat((scaled, level[None])).flatten(1)).reshape(-1, y, x)


class CoefficientRms(Normalisation):
    """The coefficients as they are, with mean power 1 over the slice; a last channel tells the inversion efficiency."""

    words = "coefficients to mean power 1 over the foreground, and a channel with (inversion efficiency - 0.95) / 0.05"

    @classmethod
    def of(cls, basis: TemporalBasis, sequence: PulseSequence) -> Self:
        """As many images as the basis has."""
        return cls(len(basis.te_ms))

    def forward(self, coefficients: Tensor, foreground: Tensor, efficiency: float) -> Tensor:
        """See the class."""
        power = coefficients[:, foreground].square().sum() / (self.n_images * foreground.sum())
        condition = torch.full_like(coefficients[:1], (efficiency - 0.95) / 0.05)
        return torch.cat((coefficients * torch.rsqrt(power.clamp_min(1e-30)), condition))
