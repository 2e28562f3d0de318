"""Spatiotemporal matching: patches of voxels are compared instead of single voxels (Gomez et al., MICCAI 2016:579).

The parameters are those with which Balsiger et al. 2018 used it, in two dimensions. The paper takes its patches from
training subjects. A scanner's node has none; therefore the patches are those of the slice itself. Exact matching gives
every voxel its first atom. For each voxel, the 3 x 3 patches of such atoms in the 11 x 11 pixels around it are compared
with the 3 x 3 patch of its signals. The central atoms of the five most similar patches are added, with weights that
fall with the distance, and the atom that is most similar to their sum is taken. In the second iteration, parameters
count as much as signals.

Noise becomes less, and so do details of one or two pixels: it is a filter.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.messages import Mask
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import ATOM

__all__ = ["SpatiotemporalAtoms"]

WINDOW = 11
"""Width of the square, in pixels, in which similar patches are searched."""
PATCH = 3
"""Width of a patch in pixels."""
SIMILAR = 5
"""Number of patches whose central atoms are added."""
FALL = 3.0
"""A patch whose distance is 1 / FALL larger than the smallest has 1 / e of its weight. In two simulated brains (128 and
192 pixels), equal weights increase the RMSE of T1 in grey matter by 36 to 62 %; weights that fall by 2 to 10 change it
by 4 % at most, and reduce that in white matter by 11 to 27 %."""
ITERATIONS = 2
SIGNALS = 0.5
"""Weight of the distance of signals in the second iteration; the rest is the weight of that of parameters."""


class SpatiotemporalAtoms(OnePoolAtoms):
    """Atoms of one pool that are compared with patches of voxels; `match` compares them with single voxels."""

    def match_slice(self, y: Tensor, mask: Mask, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the atoms of a slice.

        Args:
            y: (voxels, K) complex coefficients of the pixels of the mask, in its order.
            mask: (y, x) pixels that hold tissue.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop.

        Raises CancelledScanError if the search was cancelled.

        """
        sign = cancellation or Cancellation()
        window, patch = _neighbours(mask, WINDOW), _neighbours(mask, PATCH)
        parameters = torch.from_numpy(np.stack([*self.dictionary.parameters.values()], 1))
        signals = self.atoms.scaled(y)[0].to(torch.complex64)
        place = torch.from_numpy(self.match(y, threads, sign).index[ATOM])
        for iteration in range(ITERATIONS):
            atoms, values = self.atoms.unit[place].to(torch.complex64), parameters[place]

            def unlike(n: Tensor, m: Tensor, atoms: Tensor = atoms) -> Tensor:
                return 1 - (signals[n] * atoms[m].conj()).sum(1).abs()

            def differing(n: Tensor, m: Tensor, values: Tensor = values) -> Tensor:
                sizes = (values[n].abs() + values[m].abs()).clamp_min(1e-30)
                return ((values[n] - values[m]).abs() / sizes).sum(1).float()

            distance = _distances(unlike, window, patch, threads, sign)
            if iteration:
                others = _distances(differing, window, patch, threads, sign)
                distance = SIGNALS * _relative(distance) + (1 - SIGNALS) * _relative(others)
            nearest, shift = distance.topk(min(SIMILAR, len(distance)), dim=0, largest=False)
            similar = window.gather(0, shift)
            weight = torch.exp(-FALL * (nearest / nearest[:1].clamp_min(1e-12) - 1))  # 0 for patches outside the mask
            summed = (weight[..., None] * atoms[similar]).sum(0) * self.atoms.noise
            place = torch.from_numpy(self.match(summed, threads, sign).index[ATOM])
        return self.atoms.given(y, place)


def _neighbours(mask: Mask, width: int) -> Tensor:
    """The numbers (width^2, voxels) of the voxels at every shift of a square, -1 outside the mask."""
    half = width // 2
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    padded = np.pad(number, half, constant_values=-1)
    rows, columns = mask.nonzero()
    return torch.from_numpy(np.stack([padded[rows + i, columns + j] for i in range(width) for j in range(width)]))


def _distances(
    cost: Callable[[Tensor, Tensor], Tensor], window: Tensor, patch: Tensor, threads: int, sign: Cancellation
) -> Tensor:
    """The mean cost (shifts, voxels) of the pairs of two patches as far as they are in the mask; inf outside."""

    def at_shift(shifted: Tensor) -> Tensor:
        sign.check()
        voxel = (shifted >= 0).nonzero()[:, 0]
        total, pairs = torch.zeros(2, len(shifted) + 1)  # the last is the pair of a pixel outside the mask
        total[voxel], pairs[voxel] = cost(voxel, shifted[voxel]), 1.0
        mean = total[patch].sum(0) / pairs[patch].sum(0).clamp_min(1)
        return torch.where(shifted >= 0, mean, torch.inf)

    with workers(threads) as pool:
        return torch.stack(list(pool.map(at_shift, window)))


def _relative(distance: Tensor) -> Tensor:
    """Distances (shifts, voxels) over their mean in the window, so that those of two kinds can be added."""
    finite = distance.isfinite()
    mean = torch.where(finite, distance, 0).sum(0) / finite.sum(0)
    return distance / mean.clamp_min(1e-30)
