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
DISTANCE = 4
"""Pixels between voxels that are compared: over one or two pixels, the errors of images are correlated."""
LARGEST = 4.0
"""Squared difference over its variance beyond which tissue has an edge there, whatever its texture is."""
LEAST_STD = 0.02
"""Standard deviation below which no voxel counts more."""
LEAST_WEIGHT = 1e-3
"""Weight of a variation of 1, which is the result where there is no tissue."""


class MapNetwork(nn.Module):
    """Residual 3 x 3 convolutions over the evidence of a slice, and over what surrounds it; it begins as the identity.

    `forward` takes the features (s, features + 1, y + 2 border, x + 2 border) of `evidence` with the mask, and the
    unknowns (s, n, y, x), and returns (s, 2 n, y, x): the unknowns, and their standard deviations.

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
        self.across = nn.Conv2d(OF_SURROUNDINGS + n, width, 1)
        self.n, self.side, self.distance = n, 2 * REACH + 1, DISTANCE
        self.largest, self.least_std, self.least_weight = LARGEST, LEAST_STD, LEAST_WEIGHT
        nn.init.zeros_(self.across.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(s, channels, y, x), of which the last one is the mask, to (s, width, y - 2 - 2 reach, x - 2 - 2 reach)."""
        inside, side = images[:, :, 1:-1, 1:-1].float(), self.side
        tissue = inside[:, -1:]
        found = _sums(relu(self.features(images)).float() * tissue, side, side)
        mean = found / _sums(tissue, side, side).clamp_min(1.0)
        result: Tensor = self.across(torch.cat((mean, 2 * (self.variation(inside) - 1)), 1))
        return result

    def variation(self, images: Tensor) -> Tensor:
        """How much each unknown varies, (s, n, y - 2 reach, x - 2 reach).

        It is the squared difference of two voxels at a distance over the sum of their variances: 0.92 where all
        differences are errors, because none counts more than `LARGEST`. Of the pairs in the square, those that are
        known best give most to the mean. Where there is no pair, it is 1.
        """
        unknowns, std = unknowns_and_std(images, self.n)
        variance, tissue = std.clamp_min(self.least_std).square(), images[:, -1:]
        total = weight = torch.full((1,), self.least_weight, device=images.device)
        for axis in (2, 3):
            far, n = self.distance, images.shape[axis] - self.distance
            square = (unknowns.narrow(axis, far, n) - unknowns.narrow(axis, 0, n)).square()
            both = variance.narrow(axis, far, n) + variance.narrow(axis, 0, n)
            pairs = tissue.narrow(axis, far, n) * tissue.narrow(axis, 0, n) / both
            rows, columns = self.side, self.side
            if axis == 2:
                rows = rows - far
            else:
                columns = columns - far
            total = total + _sums(pairs * (square / both).clamp_max(self.largest), rows, columns)
            weight = weight + _sums(pairs, rows, columns)
        return total / weight


def _sums(images: Tensor, rows: int, columns: int) -> Tensor:
    """The sums over every rectangle of rows x columns pixels, (s, channels, y - rows + 1, x - columns + 1).

    They are differences of running sums, in double precision: weights of voxels differ by factors of thousands.
    """
    down = pad(images.double(), (0, 0, 1, 0)).cumsum(2)
    across = pad(down[:, :, rows:] - down[:, :, :-rows], (1, 0, 0, 0)).cumsum(3)
    return (across[..., columns:] - across[..., :-columns]).float()
