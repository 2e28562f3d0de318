"""Spatially regularised reconstruction: dense blocks over time in turn with convolutions over space.

Balsiger et al., "Spatially regularized parametric map reconstruction for fast magnetic resonance fingerprinting",
Med Image Anal 64 (2020) 101741. Its Algorithm 1 turns a receptive field and a number of parameters into an
architecture. Readings, where the paper and its published code differ: there is one number of temporal layers a block
(the paper prints eight for seven blocks), the first blocks get one more where they do not divide evenly (equation 3
is printed the other way round from its own example), and the last convolution is linear, as drawn; the code normalises
its output once more, which would give every training batch the same mean. Parameters are weights and biases of
convolutions, as counted there.
"""

from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from spokestream.models.networks.fold import Affine, absorb, affine
from spokestream.models.networks.layers import Network

__all__ = ["Architecture", "Balsiger2020", "architecture"]

STEP = 32
"""Channels that each block has fewer than the one before it."""
LAST_SPATIAL = 64
FEWEST_TEMPORAL = 32


@dataclass(frozen=True)
class Architecture:
    """Blocks, each of so many temporal layers and one spatial convolution."""

    temporal: tuple[int, ...]
    """C_T: channels of every temporal layer of a block"""
    spatial: tuple[int, ...]
    """C_S: channels of its spatial convolution"""
    layers: tuple[int, ...]
    """L: temporal layers"""
    kernel: int
    """Pixels along each side of the spatial convolution: 3, or 1 where the receptive field is one pixel"""

    def n_parameters(self, channels: int, outputs: int) -> int:
        """Weights and biases of all convolutions."""
        total = 0
        for temporal, spatial, layers in zip(self.temporal, self.spatial, self.layers, strict=True):
            for _ in range(layers):
                total += (channels + 1) * temporal
                channels += temporal
            total += (self.kernel**2 * channels + 1) * spatial
            channels = spatial
        return total + (channels + 1) * outputs


def architecture(
    receptive_field: int, n_parameters: int, n_nonlinearities: int, n_images: int, n_maps: int
) -> Architecture:
    """Algorithm 1: channels such that the number of parameters comes closest to the one asked for.

    Args:
        receptive_field: pixels along each side, odd; every block but that of a single pixel adds two.
        n_parameters: weights and biases of all convolutions.
        n_nonlinearities: temporal and spatial layers of all blocks together.
        n_images: complex images, frames or coefficients.
        n_maps: outputs.

    Raises ValueError, a programming error, for an even receptive field, blocks without a temporal layer, and a number
    of parameters that is too small for the spatial convolutions, whose channels are fixed.

    """
    if receptive_field < 1 or receptive_field % 2 == 0:
        raise ValueError(f"A receptive field is an odd number of pixels, not {receptive_field}.")
    n_blocks = max(1, (receptive_field - 1) // 2)
    if n_nonlinearities < 2 * n_blocks:
        raise ValueError(
            f"A receptive field of {receptive_field} needs at least {2 * n_blocks} non-linearities, "
            f"not {n_nonlinearities}."
        )
    layers, remainder = divmod(n_nonlinearities - n_blocks, n_blocks)

    def of_width(first: int) -> Architecture:
        return Architecture(
            temporal=(first, *(max(first - STEP * block, FEWEST_TEMPORAL) for block in range(1, n_blocks))),
            spatial=tuple(LAST_SPATIAL + STEP * block for block in reversed(range(n_blocks))),
            layers=tuple(layers + (block < remainder) for block in range(n_blocks)),
            kernel=1 if receptive_field == 1 else 3,
        )

    def size(first: int) -> int:
        return of_width(first).n_parameters(2 * n_images, n_maps)

    if size(1) > n_parameters:
        raise ValueError(
            f"A receptive field of {receptive_field} with {n_nonlinearities} non-linearities takes at least "
            f"{size(1):,} parameters, not {n_parameters:,}."
        )
    enough = bisect_left(range(n_parameters), n_parameters, lo=1, key=size)
    return of_width(min((enough - 1, enough), key=lambda first: abs(size(first) - n_parameters)))


class Balsiger2020(Network):
    """(2 · images, h + R - 1, w + R - 1) to (maps, h, w), R the receptive field.

    Raises ValueError, a programming error, as `architecture` does.
    """

    def __init__(
        self,
        n_images: int,
        n_maps: int,
        receptive_field: int = 15,
        n_parameters: int = 5_000_000,
        n_nonlinearities: int = 21,
    ) -> None:
        super().__init__(n_images, n_maps, border=(receptive_field - 1) // 2)
        plan = architecture(receptive_field, n_parameters, n_nonlinearities, n_images, n_maps)
        channels = self.channels
        self.blocks = nn.ModuleList()
        for temporal, spatial, layers in zip(plan.temporal, plan.spatial, plan.layers, strict=True):
            self.blocks.append(Block(channels, temporal, layers, spatial, plan.kernel))
            channels = spatial
        self.last = nn.Conv2d(channels, n_maps, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of images; see `Network`."""
        for block in self.blocks:
            x = block(x)
        x = self.last(x)
        return x

    def fold(self) -> None:
        """Every normalisation goes into the convolutions after it: between them there is no other layer."""
        before: Affine = (self.last.weight.new_ones(self.channels), self.last.weight.new_zeros(self.channels))
        for block in self.blocks:
            assert isinstance(block, Block)
            before = block.fold(before)
        absorb(self.last, before)


class Block(nn.Module):
    """Temporal layers, each of which sees the block's input and all before it; the spatial one sees everything."""

    def __init__(self, channels: int, temporal: int, layers: int, spatial: int, kernel: int) -> None:
        super().__init__()
        self.temporal = nn.ModuleList(Layer(channels + i * temporal, temporal, 1) for i in range(layers))
        self.spatial = Layer(channels + layers * temporal, spatial, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, spatial, h - kernel + 1, w - kernel + 1)."""
        for layer in self.temporal:
            x = torch.cat([x, layer(x)], 1)
        x = self.spatial(x)
        return x

    def fold(self, before: Affine) -> Affine:
        """Take in what came before, and hand on what is left to the next block."""
        for layer in self.temporal:
            assert isinstance(layer, Layer)
            (scale, shift), (its_scale, its_shift) = before, layer.fold(before)
            before = torch.cat([scale, its_scale]), torch.cat([shift, its_shift])
        return self.spatial.fold(before)


class Layer(nn.Module):
    """Convolution without padding, rectified, then normalised, with TensorFlow's defaults as in the published code."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, outputs, h - kernel + 1, w - kernel + 1)."""
        x = self.norm(relu(self.conv(x), inplace=True))
        return x

    def fold(self, before: Affine) -> Affine:
        """Take in what came before; the scale and shift of its own normalisation are left to what follows."""
        absorb(self.conv, before)
        norm, self.norm = self.norm, nn.Identity()
        assert isinstance(norm, nn.BatchNorm2d)
        return affine(norm)
