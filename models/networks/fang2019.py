"""Spatially constrained quantification: features of every fingerprint, then a U-Net over their images.

Fang et al., "Deep learning for fast and spatially constrained tissue quantification from highly accelerated data in
magnetic resonance fingerprinting", IEEE Trans Med Imaging 38 (2019) 2364. There, one network gives one map, inputs
have unit energy, the loss is the relative difference, and the features are trained before the U-Net. Its widths are
those that give the 3,838,573 parameters (five maps, 46 features), 11 non-linearities and 54 pixels of receptive field
that Balsiger et al. (Med Image Anal 2020, table 3) count: one convolution a level, and no normalisation.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from spokestream.models.networks.layers import Network, initialise_rectified

__all__ = ["Fang2019", "Pretraining"]

BORDER = 32
"""A multiple of `STEP`. What a pixel sees reaches up to 30 pixels away, depending on its place among the poolings."""
STEP = 8
FEATURE_LAYERS = 4
WIDTHS = (64, 128, 256, 512)


class Fang2019(Network):
    """(2 · images, h + 64, w + 64) to (maps, h, w), h and w multiples of 8.

    Raises ValueError, a programming error, for less than one feature.
    """

    def __init__(self, n_images: int, n_maps: int = 1, n_features: int = 46) -> None:
        super().__init__(n_images, n_maps, BORDER, STEP)
        if n_features < 1:
            raise ValueError(f"A fingerprint needs at least one feature, not {n_features}.")
        self.features = nn.Sequential()
        for channels in (self.channels, *[n_features] * (FEATURE_LAYERS - 1)):
            self.features.extend([nn.Conv2d(channels, n_features, 1), nn.ReLU()])
        self.unet = UNet(n_features, n_maps)
        initialise_rectified(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of images; see `Network`. What the U-Net pads with zeros is cut off with the border."""
        x = self.unet(self.features(x))
        return x[:, :, self.border : -self.border, self.border : -self.border]


class Pretraining(Network):
    """First of the two training steps: an output layer right on the features of a network, which it shares.

    It takes and gives what that network does.
    """

    def __init__(self, network: Fang2019) -> None:
        super().__init__(network.channels // 2, network.outputs, network.border)
        self.features = network.features
        (*_, last, _) = network.features
        assert isinstance(last, nn.Conv2d)
        self.last = nn.Conv2d(last.out_channels, network.outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of images, of every fingerprint alone; see `Network`."""
        x = x[:, :, self.border : -self.border, self.border : -self.border]
        x = self.last(self.features(x))
        return x


class UNet(nn.Module):
    """Three poolings, one 3 × 3 convolution a level on the way down and up, and a last one; all keep the size."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        for width in WIDTHS:
            self.down.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        self.enlarge, self.up = nn.ModuleList(), nn.ModuleList()
        for width in reversed(WIDTHS[:-1]):
            self.enlarge.append(nn.ConvTranspose2d(2 * width, width, 2, stride=2))
            self.up.append(nn.Conv2d(2 * width, width, 3, padding=1))
        self.last = nn.Conv2d(WIDTHS[0], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, outputs, h, w), h and w multiples of 8."""
        levels: list[Tensor] = []
        for level, conv in enumerate(self.down):
            x = relu(conv(x if level == 0 else max_pool2d(x, 2)))
            levels.append(x)
        levels.pop()
        for enlarge, conv in zip(self.enlarge, self.up):  # noqa: B905 -- TorchScript's zip knows no strict
            x = relu(conv(torch.cat([levels.pop(), enlarge(x)], 1)))
        x = self.last(x)
        return x
