"""DRONE: a fully connected network that sees single fingerprints.

Cohen, Zhu and Rosen, "MR fingerprinting deep reconstruction network (DRONE)", Magn Reson Med 80 (2018) 885: two hidden
layers of 300 units with hyperbolic tangents, and a sigmoid at the end. Later comparisons, such as Balsiger et al. (Med
Image Anal 2020), give it real and imaginary parts and use rectified units and a linear output. `Cohen2018` sees real
and imaginary parts, `Drone` magnitudes as first published.
"""

import torch
from torch import Tensor, nn

from spokestream.models.networks.layers import Network

__all__ = ["Cohen2018", "Drone"]

HIDDEN = 300


class CentredSigmoid(nn.Module):
    """sigmoid(x) - 1/2 = tanh(x / 2) / 2, which takes less than half the time of `nn.Tanh` on a CPU.

    It is computed in single precision: in bfloat16, differences of sigmoids from 1/2 would be coarse.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Half the hyperbolic tangent of x / 2, in the number type of x."""
        return x.to(torch.float32, copy=True).sigmoid_().sub_(0.5).to(x.dtype)


class Cohen2018(Network):
    """(2 · images, h, w) to (maps, h, w).

    Args:
        n_images: number of images.
        n_maps: number of maps.
        parts: channels of every image: 2, its real and imaginary part; or 1, its magnitude.

    """

    def __init__(self, n_images: int, n_maps: int, parts: int = 2) -> None:
        super().__init__(n_images, n_maps)
        self.channels = parts * n_images
        self.layers = nn.Sequential(
            nn.Conv2d(self.channels, HIDDEN, 1), nn.Tanh(), nn.Conv2d(HIDDEN, HIDDEN, 1), nn.Tanh(),
            nn.Conv2d(HIDDEN, n_maps, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """The maps of the images; see `Network`."""
        x = self.layers(x)
        return x

    def fold(self) -> None:
        """Replace the hyperbolic tangents, in place; the layers before and after them absorb the factors of 2."""
        for i in (0, 2):
            before, after = self.layers[i], self.layers[i + 2]
            assert isinstance(before, nn.Conv2d)
            assert isinstance(after, nn.Conv2d)
            assert before.bias is not None
            before.weight *= 2
            before.bias *= 2
            after.weight *= 2
            self.layers[i + 1] = CentredSigmoid()


class Drone(Cohen2018):
    """(images, h, w) magnitudes to (maps, h, w)."""

    def __init__(self, n_images: int, n_maps: int) -> None:
        super().__init__(n_images, n_maps, parts=1)
