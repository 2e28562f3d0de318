"""HYDRA's second stage: a residual network along time; it sees single fingerprints.

Song et al., "HYDRA: hybrid deep magnetic resonance fingerprinting", Med Phys 46 (2019) 4951, in the form without
non-local layers: two convolutions, four residual blocks, the mean over time, a fully connected layer. The paper does
not describe padding, activations and shortcuts. We assume that convolutions keep the length, that everything except
sums is rectified, and that shortcuts are convolutions like the others, which comes closest to the size of the published
weight file.
"""

from torch import Tensor, nn
from torch.nn.functional import max_pool1d, relu

from spokestream.models.networks.layers import FingerprintNetwork, initialise_rectified

__all__ = ["Song2019"]

KERNEL = 7
FIRST = 32
WIDTHS = (64, 128, 256, 512)


class Song2019(FingerprintNetwork):
    """(2 · images, h, w) to (maps, h, w)."""

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps)
        self.first = nn.Sequential(convolution(2, FIRST), nn.ReLU(), convolution(FIRST, FIRST), nn.ReLU())
        self.blocks = nn.Sequential()
        for channels, width in zip((FIRST, *WIDTHS[:-1]), WIDTHS, strict=True):
            self.blocks.append(Residual(channels, width))
        self.last = nn.Linear(WIDTHS[-1], n_maps)
        initialise_rectified(self)

    def maps(self, fingerprints: Tensor) -> Tensor:
        """Maps (pixels, outputs) of fingerprints (pixels, 2, images)."""
        features: Tensor = self.blocks(self.first(fingerprints))
        features = self.last(features.mean(-1))
        return features


class Residual(nn.Module):
    """A residual block: time is halved by pooling, then the output of two convolutions is added to that of a third."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = convolution(channels, width)
        self.second = convolution(width, width)
        self.shortcut = convolution(channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """(pixels, channels, times) to (pixels, width, half the times, rounded up)."""
        x = max_pool1d(x, 3, 2, 1)
        x = relu(self.second(relu(self.first(x)))) + self.shortcut(x)
        return x


def convolution(channels: int, width: int) -> nn.Conv1d:
    """A convolution along time that keeps the length."""
    return nn.Conv1d(channels, width, KERNEL, padding=KERNEL // 2)
