"""Spatially regularised reconstruction: dense blocks over time alternate with convolutions over space.

Balsiger et al., "Spatially regularized parametric map reconstruction for fast magnetic resonance fingerprinting",
Med Image Anal 64 (2020) 101741. Its Algorithm 1 derives an architecture from a receptive field and a number of
parameters. Where the paper and its published code differ, we choose as follows. Each block has one number of temporal
layers (the paper prints eight numbers for seven blocks). If the layers cannot be divided evenly, the first blocks get
one more (equation 3 contradicts the paper's own example). The last convolution is linear, as in the paper's figure; the
code normalises its output once more, which would give every training batch the same mean. Parameters are the weights
and biases of the convolutions, as counted in the paper.
"""

from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from spokestream.errors import InputError
from spokestream.models.networks.fold import Affine, absorb, affine
from spokestream.models.networks.layers import Network

__all__ = ["Architecture", "Balsiger2020", "architecture"]

STEP = 32
"""Each block has this many channels fewer than the block before it."""
LAST_SPATIAL = 64
FEWEST_TEMPORAL = 32


@dataclass(frozen=True)
class Architecture:
    """The blocks of the network, each with several temporal layers and one spatial convolution."""

    temporal: tuple[int, ...]
    """C_T: channels of every temporal layer, for each block."""
    spatial: tuple[int, ...]
    """C_S: channels of the spatial convolution, for each block."""
    layers: tuple[int, ...]
    """L: number of temporal layers, for each block."""
    kernel: int
    """Pixels along each side of the spatial convolution: 3, or 1 if the receptive field is one pixel."""

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
    """Algorithm 1: the channels whose number of parameters comes closest to the number asked for.

    Args:
        receptive_field: pixels along each side, odd. Every block adds two, unless the field is a single pixel.
        n_parameters: weights and biases of all convolutions.
        n_nonlinearities: temporal and spatial layers of all blocks together.
        n_images: number of complex images, which are frames or coefficients.
        n_maps: number of outputs.

    Raises InputError for an even receptive field, blocks without a temporal layer, and a number of parameters that is
    too small for the spatial convolutions, whose channels are fixed.

    """
    if receptive_field < 1 or receptive_field % 2 == 0:
        raise InputError(f"A receptive field is an odd number of pixels, not {receptive_field}.")
    n_blocks = max(1, (receptive_field - 1) // 2)
    if n_nonlinearities < 2 * n_blocks:
        raise InputError(
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
        raise InputError(
            f"A receptive field of {receptive_field} with {n_nonlinearities} non-linearities takes at least "
            f"{size(1):,} parameters, not {n_parameters:,}."
        )
    enough = bisect_left(range(n_parameters), n_parameters, lo=1, key=size)
    return of_width(min((enough - 1, enough), key=lambda first: abs(size(first) - n_parameters)))


class Balsiger2020(Network):
    """(2 · images, h + R - 1, w + R - 1) to (maps, h, w), where R is the receptive field.

    Raises InputError, as `architecture` does.
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
        """The maps of the images; see `Network`."""
        for block in self.blocks:
            x = block(x)
        x = self.last(x)
        return x

    def fold(self) -> None:
        """Fold every normalisation into the convolutions after it; there is no other layer between them."""
        before: Affine = (self.last.weight.new_ones(self.channels), self.last.weight.new_zeros(self.channels))
        for block in self.blocks:
            assert isinstance(block, Block)
            before = block.fold(before)
        absorb(self.last, before)


class Block(nn.Module):
    """Temporal layers, then a spatial one. Each sees the input of the block and the outputs of all layers before it."""

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
        """Absorb the normalisation before this block, and return the one that the next block has to absorb."""
        for layer in self.temporal:
            assert isinstance(layer, Layer)
            (scale, shift), (its_scale, its_shift) = before, layer.fold(before)
            before = torch.cat([scale, its_scale]), torch.cat([shift, its_shift])
        return self.spatial.fold(before)


class Layer(nn.Module):
    """A convolution without padding, rectified, then normalised with TensorFlow's defaults as in the published code."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, outputs, h - kernel + 1, w - kernel + 1)."""
        x = self.norm(relu(self.conv(x), inplace=True))
        return x

    def fold(self, before: Affine) -> Affine:
        """Absorb the normalisation before this layer, and return its own, which the next layer has to absorb."""
        absorb(self.conv, before)
        norm, self.norm = self.norm, nn.Identity()
        assert isinstance(norm, nn.BatchNorm2d)
        return affine(norm)
