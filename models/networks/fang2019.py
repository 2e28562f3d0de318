"""Spatially constrained quantification: features of every fingerprint, then a U-Net on the feature images.

Fang et al., "Deep learning for fast and spatially constrained tissue quantification from highly accelerated data in
magnetic resonance fingerprinting", IEEE Trans Med Imaging 38 (2019) 2364. In the paper, one network gives one map,
inputs have unit energy, the loss is the relative difference, and the features are trained before the U-Net. The paper
does not give the widths. Ours give the 3,838,573 parameters (five maps, 46 features), 11 non-linearities and 54 pixels
of receptive field that Balsiger et al. (Med Image Anal 2020, table 3) count: one convolution for each level, and no
normalisation.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from spokestream.models.networks.layers import Network, initialise_rectified

__all__ = ["Fang2019", "Pretraining"]

BORDER = 32
"""A multiple of `STEP`. A pixel depends on pixels up to 30 away, according to its place in the pooling windows."""
STEP = 8
FEATURE_LAYERS = 4
WIDTHS = (64, 128, 256, 512)


class Fang2019(Network):
    """(2 · images, h + 64, w + 64) to (maps, h, w), where h and w are multiples of 8.

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
        """The maps of the images; see `Network`. The border is cropped, and with it the effects of zero padding."""
        x = self.unet(self.features(x))
        return x[:, :, self.border : -self.border, self.border : -self.border]


class Pretraining(Network):
    """The first of the two training steps: an output layer directly on the features of a network.

    It shares the feature layers with that network, and has the same input and output.
    """

    def __init__(self, network: Fang2019) -> None:
        super().__init__(network.channels // 2, network.outputs, network.border)
        self.features = network.features
        (*_, last, _) = network.features
        assert isinstance(last, nn.Conv2d)
        self.last = nn.Conv2d(last.out_channels, network.outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images, from single fingerprints; see `Network`."""
        x = x[:, :, self.border : -self.border, self.border : -self.border]
        x = self.last(self.features(x))
        return x


class UNet(nn.Module):
    """A U-Net with three poolings, one 3 × 3 convolution for each level down and up, and a last one; sizes are kept."""

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
        """(n, channels, h, w) to (n, outputs, h, w), where h and w are multiples of 8."""
        levels: list[Tensor] = []
        for level, conv in enumerate(self.down):
            x = relu(conv(x if level == 0 else max_pool2d(x, 2)))
            levels.append(x)
        levels.pop()
        for enlarge, conv in zip(self.enlarge, self.up):  # noqa: B905 -- TorchScript's zip knows no strict
            x = relu(conv(torch.cat([levels.pop(), enlarge(x)], 1)))
        x = self.last(x)
        return x
