"""Spatiotemporal reconstruction of a pixel from the 5 × 5 pixels around it.

Balsiger et al., "Magnetic resonance fingerprinting reconstruction via spatiotemporal convolutional neural networks",
MLMIR 2018: convolutions over time, then two parallel convolutions over space, and a last one that gives the maps. The
paper does not say how the five convolutions divide the 256 features of the central pixel. We assume that the two over
time have 256 each, and that each of the two over space gives half. The paper's input is 673 sliding windows of 48
frames.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils import fuse_conv_bn_eval

from spokestream.models.networks.layers import Network

__all__ = ["Balsiger2018"]

FEATURES = 256
DROPOUT = 0.2


class Balsiger2018(Network):
    """(2 · images, h + 4, w + 4) to (maps, h, w)."""

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps, border=2)
        self.temporal = nn.Sequential(Layer(self.channels, FEATURES, 1), Layer(FEATURES, FEATURES, 1))
        self.wide = Layer(FEATURES, FEATURES // 2, 5)
        self.narrow = Layer(FEATURES, FEATURES // 2, 3)
        self.last = nn.Conv2d(FEATURES, n_maps, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images; see `Network`."""
        x = self.temporal(x)
        x = torch.cat([self.wide(x), self.narrow(x[:, :, 1:-1, 1:-1])], 1)
        x = self.last(x)
        return x

    def fold(self) -> None:
        """Fold every normalisation into the convolution before it."""
        for layer in self.modules():
            if isinstance(layer, Layer):
                layer.fold()


class Layer(nn.Module):
    """A convolution without padding, then dropout, batch normalisation and rectification."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel)
        self.dropout = nn.Dropout(DROPOUT)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, outputs, h - kernel + 1, w - kernel + 1)."""
        return relu(self.norm(self.dropout(self.conv(x))))

    def fold(self) -> None:
        """Fold the normalisation into the convolution, which is exact in evaluation, where dropout does nothing."""
        norm, self.norm = self.norm, nn.Identity()
        assert isinstance(norm, nn.BatchNorm2d)
        self.conv = fuse_conv_bn_eval(self.conv, norm)
