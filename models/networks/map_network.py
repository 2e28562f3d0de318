"""A network over maps: it sees what the signal says about them, and moves them to how tissue looks."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu, softplus

from spokestream.models.networks.ours import LastLayer, Residual

__all__ = ["MapNetwork"]

SMALLEST_STD = 1e-3
"""Smallest standard deviation, in units of the unknowns, so that no voxel outweighs all others in training."""
REACH = 16
"""Pixels on each side of a pixel that are its surroundings."""
OF_SURROUNDINGS = 24
"""Channels that describe the surroundings."""


class MapNetwork(nn.Module):
    """Residual 3 x 3 convolutions over the evidence of a slice, and over what surrounds it; it begins as the identity.

    `forward` takes the features (n, features + 1, y + 2 border, x + 2 border) of `evidence` with the mask, and the
    unknowns (n, unknowns, y, x), and returns (n, 2 unknowns, y, x): the unknowns, and their standard deviations.

    Args:
        n_features: number of features of a voxel.
        n: number of unknowns.
        width: channels of the residual blocks.
        blocks: number of residual blocks; the receptive field is 3 + 2 (blocks + `REACH`).

    """

    def __init__(self, n_features: int, n: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.border = 1 + blocks + REACH
        self.first = nn.Conv2d(n_features + 1, width, 3)
        self.surroundings = Surroundings(n_features + 1, width)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(blocks)])
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU())
        self.step = LastLayer(width, n, start=0.0)
        self.spread = LastLayer(width, n, start=-2.5)
        self.smallest_std = SMALLEST_STD
        self.reach = REACH
        nn.init.zeros_(self.step.weight)

    def forward(self, features: Tensor, unknowns: Tensor) -> Tensor:
        """Unknowns and their standard deviations; shapes are given in the docstring of the class."""
        r = self.reach
        h = self.first(features[:, :, r:-r, r:-r]) + self.surroundings(features)
        h = self.head(self.blocks(h))
        return torch.cat((unknowns + self.step(h), softplus(self.spread(h)) + self.smallest_std), 1)


class Surroundings(nn.Module):
    """How tissue looks nearby: means of learnt features over the tissue of a square.

    How far a value may be moved depends on how much tissue varies from voxel to voxel, which a few voxels do not tell.
    """

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(n_inputs, OF_SURROUNDINGS, 3)
        self.across = nn.Conv2d(OF_SURROUNDINGS, width, 1)
        self.side = 2 * REACH + 1
        nn.init.zeros_(self.across.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, y, x), of which the last one is the mask, to (n, width, y - 2 - 2 reach, x - 2 - 2 reach)."""
        tissue = images[:, -1:, 1:-1, 1:-1].float()
        found = self._sums(relu(self.features(images)).float() * tissue)
        mean: Tensor = self.across(found / self._sums(tissue).clamp_min(1.0))
        return mean

    def _sums(self, images: Tensor) -> Tensor:
        """The sums over a square around each pixel."""
        for axis in (2, 3):
            n = images.shape[axis] - self.side + 1
            sums = pad(images, (0, 0, 1, 0) if axis == 2 else (1, 0, 0, 0)).cumsum(axis)
            images = sums.narrow(axis, self.side, n) - sums.narrow(axis, 0, n)
        return images
