"""The base class of all networks: images in, normalised maps out, with a border that is cropped on the way."""

import torch
from torch import Tensor, nn

__all__ = ["FingerprintNetwork", "Network", "initialise_rectified"]

PIXELS_AT_ONCE = 2048
"""Pixels that a fingerprint network computes together: hidden states of a whole slice would fill gigabytes."""


class Network(nn.Module):
    """A network that computes maps from a series of images.

    `forward` takes (n, channels, h + 2 border, w + 2 border), where channel 2t is the real and channel 2t + 1 the
    imaginary part of image t, and returns (n, outputs, h, w), each map normalised to 0..1 over its range. If h, w and
    the corners of patches are multiples of `step`, patches and the whole image have the same maps.

    Raises ValueError, a programming error, for less than one image or map.
    """

    def __init__(self, n_images: int, n_maps: int, border: int = 0, step: int = 1) -> None:
        super().__init__()
        if n_images < 1 or n_maps < 1:
            raise ValueError(f"A network needs at least one image and one map, not {n_images} and {n_maps}.")
        self.channels = 2 * n_images
        self.outputs = n_maps
        self.border = border
        self.step = step

    def fold(self) -> None:
        """Fold the batch normalisation of a trained network into its convolutions, in place. Most have none."""


class FingerprintNetwork(Network):
    """A network that sees single pixels; a subclass defines `maps`, which computes maps from fingerprints."""

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps)
        self.pixels_at_once = PIXELS_AT_ONCE

    def forward(self, x: Tensor) -> Tensor:
        """The maps (n, outputs, h, w) of images (n, channels, h, w)."""
        n, channels, h, w = x.shape
        fingerprints = x.permute(0, 2, 3, 1).reshape(-1, channels // 2, 2).transpose(1, 2)
        maps = torch.cat([self.maps(some) for some in torch.split(fingerprints, self.pixels_at_once)])
        return maps.reshape(n, h, w, self.outputs).permute(0, 3, 1, 2)

    def maps(self, fingerprints: Tensor) -> Tensor:
        """Maps (pixels, outputs) of fingerprints (pixels, 2, images), real part first."""
        raise NotImplementedError


def initialise_rectified(network: nn.Module) -> None:
    """Initialise a rectified network without normalisation so that features keep their energy from layer to layer.

    He et al., "Delving deep into rectifiers", ICCV 2015. With PyTorch's own initialisation, every layer loses five
    sixths of the energy.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
