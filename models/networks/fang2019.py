"""Spatially constrained quantification: features of every fingerprint, then a U-Net on the feature images.

Fang et al., "Deep learning for fast and spatially constrained tissue quantification from highly accelerated data in
magnetic resonance fingerprinting", IEEE Trans Med Imaging 38 (2019) 2364. In the paper, one network gives one map,
inputs have unit energy, the loss is the relative difference, and the features are trained before the U-Net. The paper
does not give the widths. Ours give the 3,838,573 parameters (five maps, 46 features), 11 non-linearities and 54 pixels
of receptive field that Balsiger et al. (Med Image Anal 2020, table 3) count: one convolution for each level, and no
normalisation.

Tables III and IV and Fig. 6 of the paper compare this network with others that lack one of its parts: `FeaturesOnly`
sees single pixels, and `SpatialOnly` gives images, or coefficients of singular vectors, to the U-Net.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from spokestream.errors import InputError
from spokestream.models.networks.layers import Network, initialise_rectified

__all__ = ["Fang2019", "FeaturesOnly", "Pretraining", "SpatialOnly"]

BORDER = 32
"""A multiple of `STEP`. A pixel depends on pixels up to 30 away, according to its place in the pooling windows."""
STEP = 8
FEATURE_LAYERS = 4
WIDTHS = (64, 128, 256, 512)


class Fang2019(Network):
    """(parts · images, h + 64, w + 64) to (maps, h, w), where h and w are multiples of 8.

    Args:
        n_images: number of images.
        n_maps: number of maps.
        n_features: number of features of every fingerprint.
        parts: channels of every image: 2, its real and imaginary part; or 1, its magnitude.

    Raises ValueError, a programming error, for less than one feature.

    """

    def __init__(self, n_images: int, n_maps: int = 1, n_features: int = 46, parts: int = 2) -> None:
        super().__init__(n_images, n_maps, BORDER, STEP)
        self.channels = parts * n_images
        self.features = feature_layers(self.channels, n_features)
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
        super().__init__(1, network.outputs, network.border)
        self.channels = network.channels
        self.features = network.features
        self.last = output_layer(self.features, network.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images, from single fingerprints; see `Network`."""
        x = x[:, :, self.border : -self.border, self.border : -self.border]
        x = self.last(self.features(x))
        return x


class FeaturesOnly(Network):
    """(2 · images, h, w) to (maps, h, w): an output layer on the features of single pixels, without a U-Net."""

    def __init__(self, n_images: int, n_maps: int = 1, n_features: int = 46) -> None:
        super().__init__(n_images, n_maps)
        self.features = feature_layers(self.channels, n_features)
        self.last = output_layer(self.features, n_maps)
        initialise_rectified(self)

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images; see `Network`."""
        x = self.last(self.features(x))
        return x


class SpatialOnly(Network):
    """(2 · images, h + 64, w + 64) to (maps, h, w): the U-Net sees images, without feature extraction.

    Args:
        n_images: number of images.
        n_maps: number of maps.
        n_seen: number of leading images that the U-Net sees; None gives it all.

    Raises InputError if there are fewer images.

    """

    def __init__(self, n_images: int, n_maps: int = 1, n_seen: int | None = None) -> None:
        super().__init__(n_images, n_maps, BORDER, STEP)
        seen = n_images if n_seen is None else n_seen
        if not 1 <= seen <= n_images:
            raise InputError(f"The U-Net cannot see {seen} images of {n_images}; choose 1 to {n_images}.")
        self.seen = 2 * seen
        self.unet = UNet(self.seen, n_maps)
        initialise_rectified(self)

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images; see `Network`."""
        x = self.unet(x[:, : self.seen])
        return x[:, :, self.border : -self.border, self.border : -self.border]


def feature_layers(channels: int, n_features: int) -> nn.Sequential:
    """The layers (n, channels, h, w) to (n, features, h, w) that see single pixels.

    Raises ValueError, a programming error, for less than one feature.
    """
    if n_features < 1:
        raise ValueError(f"A fingerprint needs at least one feature, not {n_features}.")
    layers = nn.Sequential()
    for given in (channels, *[n_features] * (FEATURE_LAYERS - 1)):
        layers.extend([nn.Conv2d(given, n_features, 1), nn.ReLU()])
    return layers


def output_layer(features: nn.Sequential, n_maps: int) -> nn.Conv2d:
    """The layer (n, features, h, w) to (n, maps, h, w) on these features."""
    (*_, last, _) = features
    assert isinstance(last, nn.Conv2d)
    return nn.Conv2d(last.out_channels, n_maps, 1)


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
