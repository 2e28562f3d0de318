"""Sums over the neighbours of every voxel that are likely to hold the same tissue."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.workers import workers

__all__ = ["REACH", "WIDTH", "Pool"]

WIDTH = 2.0
"""Standard deviation of the weights of neighbours by their distance, in pixels. Aliasing and noise of radial scans are
strongest at high spatial frequencies, so that a few pixels average most of it."""
REACH = 4
"""Largest distance of a neighbour, in pixels."""
BLOCK = 4096
"""Number of voxels whose sums are computed at once. The result does not depend on the number of threads."""
OFFSETS = [
    (dy, dx)
    for dy in range(-REACH, REACH + 1)
    for dx in range(-REACH, REACH + 1)
    if math.hypot(dy, dx) <= REACH
]  # fmt: skip


class Pool:
    """Weights of the neighbours of all voxels of a mask, from a guide.

    The weight of a neighbour falls with its distance, and with the difference of its guide that the standard deviations
    of both do not explain. Edges and small vessels therefore stay.

    Args:
        mask: (y, x) mask of the voxels.
        guide: (voxels, n) values by which the neighbours are compared.
        variance: (voxels, n) variances of the guide.
        tolerance: excess of the mean squared difference, over the variance of both, at which a weight falls to 1/e.
        threads: CPU threads.
        check: called for every block of voxels; raises an error if the scan was cancelled.

    """

    def __init__(
        self,
        mask: NDArray[np.bool_],
        guide: Tensor,
        variance: Tensor,
        tolerance: float,
        threads: int = 1,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        numbers = np.full((mask.shape[0] + 2 * REACH, mask.shape[1] + 2 * REACH), len(guide))
        numbers[REACH:-REACH, REACH:-REACH][mask] = np.arange(len(guide))
        self._numbers = torch.from_numpy(numbers.ravel())
        self._places = torch.from_numpy(np.flatnonzero(numbers.ravel() < len(guide)))
        self._steps = [dy * numbers.shape[1] + dx for dy, dx in OFFSETS]
        self._threads, self._check, self._tolerance = threads, check, tolerance
        self._guide, self._variance = _with_none(guide), _with_none(variance)
        blocks = torch.split(torch.arange(len(guide)), BLOCK)
        with workers(threads) as pool:
            self._weights = list(pool.map(self._weigh, blocks))
        self._blocks = blocks

    def sums(self, values: Tensor) -> Tensor:
        """The weighted sums (voxels, channels) of values (voxels, channels) over the neighbours."""
        rows = _with_none(values)

        def one(block: Tensor, weights: Tensor) -> Tensor:
            self._check()
            total = torch.zeros(len(block), values.shape[1])
            for step, weight in zip(self._steps, weights, strict=True):
                total.addcmul_(weight[:, None], rows[self._numbers[self._places[block] + step]])
            return total

        with workers(self._threads) as pool:
            return torch.cat(list(pool.map(one, self._blocks, self._weights)))

    def _weigh(self, block: Tensor) -> Tensor:
        """The weights (offsets, voxels) of the neighbours of the voxels in a block."""
        self._check()
        guide, variance = self._guide[block], self._variance[block]
        weights = []
        for (dy, dx), step in zip(OFFSETS, self._steps, strict=True):
            neighbour = self._numbers[self._places[block] + step]
            squared = (self._guide[neighbour] - guide).square_().div_(self._variance[neighbour] + variance).mean(1)
            near = math.exp(-(dy**2 + dx**2) / (2 * WIDTH**2))
            weight = near * torch.exp(-(squared - 1).clamp_min_(0) / self._tolerance)
            weights.append(torch.where(neighbour < len(self._guide) - 1, weight, 0))
        return torch.stack(weights)


def _with_none(values: Tensor) -> Tensor:
    """The rows of all voxels, and a last row of zeros for neighbours that are outside the mask."""
    return torch.cat((values, torch.zeros(1, values.shape[1])))
