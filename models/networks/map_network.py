"""A network over maps: it sees what the signal says about them, and moves them to how tissue looks."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu, softplus

from spokestream.gadgets.model_fit.evidence import unknowns_and_std
from spokestream.models.networks.ours import LastLayer, Residual

__all__ = ["MapNetwork"]

SMALLEST_STD = 1e-3
"""Smallest standard deviation, in units of the unknowns, so that no voxel outweighs all others in training."""
REACH = 16
"""Pixels on each side of a pixel that are its surroundings."""
OF_SURROUNDINGS = 24
"""Learnt channels that describe the surroundings."""
LAGS = (1, 4)
"""Distances in pixels between voxels that are compared."""


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
        self.surroundings = Surroundings(n_features + 1, n, width)
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
    """How tissue looks nearby, in a square: means of learnt features over its voxels, and how much they vary.

    How far a value may be moved depends on how much tissue varies from voxel to voxel, which a few voxels do not tell.

    Args:
        n_inputs: features of a voxel, and the mask.
        n: number of unknowns.
        width: channels of the result.

    """

    def __init__(self, n_inputs: int, n: int, width: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(n_inputs, OF_SURROUNDINGS, 3)
        self.across = nn.Conv2d(OF_SURROUNDINGS + n * len(LAGS), width, 1)
        self.n, self.side, self.lags = n, 2 * REACH + 1, list(LAGS)
        nn.init.zeros_(self.across.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(s, channels, y, x), of which the last one is the mask, to (s, width, y - 2 - 2 reach, x - 2 - 2 reach)."""
        inside = images[:, :, 1:-1, 1:-1].float()
        found = _means(relu(self.features(images)).float(), inside[:, -1:], self.side, self.side)
        result: Tensor = self.across(torch.cat((found, self.variation(inside)), 1))
        return result

    def variation(self, images: Tensor) -> Tensor:
        """How much the unknowns vary over each of the distances, (s, lags * n, y - 2 reach, x - 2 reach).

        It is the mean of z / (1 + z) over pairs of voxels in the square, where z is the squared difference over the
        sum of the variances: 0 if all are equal, and near 1 if they differ by more than their standard deviations say.
        """
        unknowns, std = unknowns_and_std(images, self.n)
        found: list[Tensor] = []
        for lag in self.lags:
            rows = _varying(unknowns, std, images[:, -1:], 2, lag)
            columns = _varying(unknowns, std, images[:, -1:], 3, lag)
            found.append(
                _means(rows[0], rows[1], self.side - lag, self.side) / 2
                + _means(columns[0], columns[1], self.side, self.side - lag) / 2
            )
        return torch.cat(found, 1)


def _varying(unknowns: Tensor, std: Tensor, mask: Tensor, axis: int, lag: int) -> tuple[Tensor, Tensor]:
    """The z / (1 + z) of all pairs of voxels at a distance along an axis, and a mask of the pairs in tissue."""
    n = mask.shape[axis] - lag
    square = (unknowns.narrow(axis, lag, n) - unknowns.narrow(axis, 0, n)).square()
    variance = std.narrow(axis, lag, n).square() + std.narrow(axis, 0, n).square()
    return square / (square + variance), mask.narrow(axis, lag, n) * mask.narrow(axis, 0, n)


def _means(images: Tensor, mask: Tensor, rows: int, columns: int) -> Tensor:
    """The means of images over a mask in a rectangle around each pixel, 0 where the mask is empty."""
    counts = _sums(mask, rows, columns).clamp_min(1.0)
    return _sums(images * mask, rows, columns) / counts


def _sums(images: Tensor, rows: int, columns: int) -> Tensor:
    """The sums over all rectangles in images."""
    down = pad(images, (0, 0, 1, 0)).cumsum(2)
    across = pad(down[:, :, rows:] - down[:, :, :-rows], (1, 0, 0, 0)).cumsum(3)
    return across[..., columns:] - across[..., :-columns]
