"""Convolutions along time; the network sees single fingerprints.

Hoppe et al., "Deep learning for magnetic resonance fingerprinting: a new approach for predicting quantitative parameter
values from time series", Stud Health Technol Inform 243 (2017) 202: three convolutions and a fully connected layer.
Widths, kernels and strides are not printed. Ours give the number of parameters (0.05 million, at 175 frames and five
maps) that Balsiger et al. (Med Image Anal 2020, table 3) count.
"""

from torch import Tensor, nn

from spokestream.errors import InputError
from spokestream.models.networks.layers import FingerprintNetwork, initialise_rectified

__all__ = ["Hoppe2017"]

WIDTHS = (30, 60, 150)
KERNELS = (15, 10, 3)
STRIDES = (5, 3, 2)


class Hoppe2017(FingerprintNetwork):
    """(2 · images, h, w) to (maps, h, w).

    Raises InputError if there are fewer images than the convolutions need.
    """

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps)
        fewest, length, channels = 1, n_images, 2
        for kernel, stride in zip(reversed(KERNELS), reversed(STRIDES), strict=True):
            fewest = (fewest - 1) * stride + kernel
        if n_images < fewest:
            raise InputError(f"This network needs at least {fewest} images, not {n_images}; give it all frames.")
        self.layers = nn.Sequential()
        for width, kernel, stride in zip(WIDTHS, KERNELS, STRIDES, strict=True):
            self.layers.extend([nn.Conv1d(channels, width, kernel, stride), nn.ReLU()])
            channels, length = width, (length - kernel) // stride + 1
        self.layers.extend([nn.Flatten(), nn.Linear(channels * length, n_maps)])
        initialise_rectified(self)

    def maps(self, fingerprints: Tensor) -> Tensor:
        """Maps (pixels, outputs) of fingerprints (pixels, 2, images)."""
        fingerprints = self.layers(fingerprints)
        return fingerprints
