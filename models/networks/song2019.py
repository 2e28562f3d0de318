"""HYDRA's second stage: a residual network along time, for every fingerprint.

Song et al., "HYDRA: hybrid deep magnetic resonance fingerprinting", Med Phys 46 (2019) 4951, in the form without
non-local layers: two convolutions, four residual blocks, the mean over time, a fully connected layer. The paper is
silent on padding, activations and the shortcuts: here convolutions keep the length, everything but a sum is rectified,
and shortcuts are convolutions like the others, which comes closest to the size of its weight file.
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
        """(pixels, outputs) of fingerprints (pixels, 2, images)."""
        features: Tensor = self.blocks(self.first(fingerprints))
        features = self.last(features.mean(-1))
        return features


class Residual(nn.Module):
    """Half as many times, then two convolutions beside a third."""

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
    """Keeps the length."""
    return nn.Conv1d(channels, width, KERNEL, padding=KERNEL // 2)
