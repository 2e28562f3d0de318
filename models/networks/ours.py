"""The node's own network: complex filters, removal of the common phase, then a few convolutions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu, softplus

from spokestream.errors import InputError
from spokestream.models.networks.layers import Network

__all__ = ["Ours", "ours_of_size"]

SMALLEST_STD = 1e-3
"""Smallest standard deviation, relative to the range of a map, so that no voxel outweighs all others in training."""
FIRST_LAYER = 5
"""Pixels along each side of the first layer; each residual block adds two to the receptive field."""
STEP_OF_WIDTH = 8
"""Channels of the residual blocks are a multiple of this number, so that products use whole vector registers."""
QUIET = 1e-4
"""Power, relative to the mean of the slice, below which the features of a voxel fade out."""


class ComplexFilters(nn.Module):
    """A complex convolution without bias: if the images are multiplied by exp(i phi), so is the output."""

    def __init__(self, n_images: int, n_filters: int, size: int) -> None:
        super().__init__()
        scale = (2 * n_images * size**2) ** -0.5
        self.real = nn.Parameter(torch.randn(n_filters, n_images, size, size) * scale)
        self.imaginary = nn.Parameter(torch.randn(n_filters, n_images, size, size) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2 images, y, x) to (n, 2 filters, y - size + 1, x - size + 1), real and imaginary parts interleaved."""
        to_real = torch.stack((self.real, -self.imaginary), 2).flatten(1, 2)
        to_imaginary = torch.stack((self.imaginary, self.real), 2).flatten(1, 2)
        return conv2d(x, torch.stack((to_real, to_imaginary), 1).flatten(0, 1))


class LastLayer(nn.Module):
    """A convolution across channels, always in single precision: bfloat16 resolves water T1 only in steps of 9 ms."""

    def __init__(self, channels: int, outputs: int, start: float) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, outputs, 1)
        self.weight, self.bias = conv.weight, nn.Parameter(torch.full((outputs,), start))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, y, x) in any precision to (n, outputs, y, x) in single precision."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self._single(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._single(x)

    def _single(self, x: Tensor) -> Tensor:
        return conv2d(x.float(), self.weight.float(), self.bias.float())


class Residual(nn.Module):
    """A residual block: a 3 x 3 convolution and one across channels, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3)
        self.across = nn.Conv2d(width, width, 1)
        for (
            start
        ) in self.across.parameters():  # every block begins as the identity, so that depth does not slow training
            nn.init.zeros_(start)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, y, x) to (n, width, y - 2, x - 2)."""
        x = x[:, :, 1:-1, 1:-1] + self.across(relu(self.spatial(relu(x))))
        return x


class Ours(Network):
    """Maps and their standard deviations from the coefficients of a compressed temporal basis.

    Undersampling mixes neighbouring pixels linearly, as complex numbers, so that the first layer is a bank of complex
    filters over 5 x 5 pixels. The phase of the first filter is subtracted from all outputs, which are also divided by
    their magnitude: the receive phase has no effect if it is constant over those pixels. The magnitude relative to the
    mean of the slice is one more feature, because it tells how strong the noise is. Residual 3 x 3 convolutions follow.

    An inversion that is a few percent less efficient looks like water with another T1. The two cannot be distinguished
    within a patch, but they can over a slice. The network is therefore conditioned on the efficiency: it is the last
    channel of the input.

    `forward` takes (n, 2 images + 1, y + 14, x + 14), real and imaginary parts interleaved, and returns
    (n, 2 maps, y, x): the maps and then their standard deviations, both in units of the ranges of the maps.

    Args:
        n_images: K of the basis.
        n_maps: number of maps.
        filters: number of filters of the complex first layer.
        width: channels of the residual blocks.
        blocks: number of residual blocks; the receptive field is 5 + 2 blocks.

    """

    def __init__(self, n_images: int, n_maps: int, filters: int = 32, width: int = 96, blocks: int = 5) -> None:
        super().__init__(n_images, n_maps, border=2 + blocks)
        self.channels = 2 * n_images + 1
        self.smallest_std = SMALLEST_STD
        self.filters = ComplexFilters(n_images, filters, FIRST_LAYER)
        self.mix = nn.Conv2d(2 * filters + 2, width, 1)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(blocks)])
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU())
        self.mean = LastLayer(width, n_maps, start=0.5)
        self.spread = LastLayer(width, n_maps, start=-2.0)

    def forward(self, x: Tensor) -> Tensor:
        """The maps and their standard deviations; shapes are given in the docstring of the class."""
        images, efficiency = x[:, :-1], x[:, -1:, 2:-2, 2:-2]
        features = torch.cat((invariants(self.filters(images)), efficiency), 1)
        features = self.head(self.blocks(self.mix(features)))
        return torch.cat((self.mean(features), softplus(self.spread(features)) + self.smallest_std), 1)


def ours_of_size(n_images: int, n_maps: int, receptive_field: int = 15, n_parameters: int | None = None) -> Ours:
    """The network with another receptive field, or the widest one with at most this number of parameters.

    Raises InputError for a receptive field that is even or smaller than that of one block, and for fewer parameters
    than the narrowest network has.
    """
    blocks, rest = divmod(receptive_field - FIRST_LAYER, 2)
    if rest or blocks < 1:
        raise InputError(f"The receptive field of ours is an odd number from {FIRST_LAYER + 2}, not {receptive_field}.")
    if n_parameters is None:
        return Ours(n_images, n_maps, blocks=blocks)
    width, fitting = STEP_OF_WIDTH, 0
    while (size := _size(n_images, n_maps, width, blocks)) <= n_parameters:
        width, fitting = width + STEP_OF_WIDTH, width
    if not fitting:
        raise InputError(
            f"A receptive field of {receptive_field} takes at least {size:,} parameters, not {n_parameters:,}."
        )
    return Ours(n_images, n_maps, width=fitting, blocks=blocks)


def _size(n_images: int, n_maps: int, width: int, blocks: int) -> int:
    """The number of parameters of a network, which is not allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in Ours(n_images, n_maps, width=width, blocks=blocks).parameters())


def invariants(filtered: Tensor, quiet: float = QUIET) -> Tensor:
    """The features of complex images that do not depend on their common phase and magnitude, and the log magnitude.

    Args:
        filtered: (n, 2 filters, y, x), real and imaginary parts interleaved.
        quiet: power below which features fade out.

    Returns:
        (n, 2 filters + 1, y, x): the real and then the imaginary parts of every filter times the conjugate of the
        first, divided by the root mean square magnitude of all and by the magnitude of the first; last the log of that
        mean square. They have the precision of the input, but are computed in single precision: half precision cannot
        represent quiet**2.

    """
    precise = filtered.float()
    real, imaginary = precise[:, 0::2], precise[:, 1::2]
    first_real, first_imaginary = real[:, :1], imaginary[:, :1]
    power = (real.square() + imaginary.square()).mean(1, keepdim=True) + quiet
    scale = torch.rsqrt(power * (first_real.square() + first_imaginary.square() + quiet))
    c, s = first_real * scale, first_imaginary * scale
    return torch.cat((real * c + imaginary * s, imaginary * c - real * s, power.log()), 1).to(filtered.dtype)
