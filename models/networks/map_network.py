"""A network over maps: it sees what the signal says about them, and moves them to how tissue looks."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from spokestream.models.networks.ours import LastLayer, Residual

__all__ = ["MapNetwork"]

SMALLEST_STD = 1e-3
"""Smallest standard deviation, in units of the unknowns, so that no voxel outweighs all others in training."""


class MapNetwork(nn.Module):
    """Residual 3 x 3 convolutions over the evidence of a slice; it begins as the identity.

    `forward` takes the features (n, features + 1, y + 2 border, x + 2 border) of `evidence` with the mask, and the
    unknowns (n, unknowns, y, x), and returns (n, 2 unknowns, y, x): the unknowns, and their standard deviations.

    Args:
        n_features: number of features of a voxel.
        n: number of unknowns.
        width: channels of the residual blocks.
        blocks: number of residual blocks; the receptive field is 3 + 2 blocks.

    """

    def __init__(self, n_features: int, n: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.border = 1 + blocks
        self.first = nn.Conv2d(n_features + 1, width, 3)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(blocks)])
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU())
        self.step = LastLayer(width, n, start=0.0)
        self.spread = LastLayer(width, n, start=-2.5)
        self.smallest_std = SMALLEST_STD
        nn.init.zeros_(self.step.weight)

    def forward(self, features: Tensor, unknowns: Tensor) -> Tensor:
        """Unknowns and their standard deviations; shapes are given in the docstring of the class."""
        h = self.head(self.blocks(self.first(features)))
        return torch.cat((unknowns + self.step(h), softplus(self.spread(h)) + self.smallest_std), 1)
