"""What a slice measured, and how its voxels are computed with: in blocks, and together with their neighbours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.messages import Complex, Mask
from spokestream.gadgets.model_fit.neighbourhoods import neighbourhood_mean, neighbourhood_variance
from spokestream.gadgets.model_fit.own_fit import Equations, equations
from spokestream.gadgets.model_fit.pooling import Pool
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["MeasuredSlice", "pooled_sums", "variances"]

BLOCK = 4096
"""Number of voxels that are fitted at once."""
OF_MEANS = 2.0
"""Tolerance of the pool of means over neighbours, found on simulated thighs of 128 and 350 pixels. A larger one gives
smoother maps and blurs muscle next to fat."""
LEFT = 0.25
"""Variance of means over neighbours relative to that of the fits of single voxels, at most."""
LEAKAGE = 0.1
"""Standard deviation of the signal of nearby tissue in a voxel, as a part of how much the maps vary nearby. It looks
like the tissue's own signal, so that residuals do not show it: the readout blurs fat, and its aliasing has its
fingerprint. Found from the errors of the fat fraction in three simulated thighs."""

NEXT = 3
"""Side, in pixels, of the square of a voxel and those next to it."""
LEAKAGE_FROM_NEXT = 0.2
"""The same in consistent images, whose voxels are free of aliasing and blurring as far as the maps explain them, as a
part of how much the maps vary among the voxels next to it. With 0.15 and 0.25, errors of the fat fraction in two
simulated limbs were 1.05 and 0.84 times what the standard deviations of corrected maps say."""


@dataclass(frozen=True)
class MeasuredSlice:
    """What a slice measured, and how it is computed with."""

    y: Tensor
    """(voxels, K) measured coefficients over their noise."""
    closed_form: ClosedForm
    scales: Unknowns
    efficiency: float
    """That of the inversion."""
    mask: Mask
    """(y, x) mask of the voxels."""
    threads: int
    check: Callable[[], object]
    """Called between pieces of the work; raises an error if the scan was cancelled."""
    seen: float | None = None
    """The part of the variance of consistent images that shows in what no value of the parameters explains; None for
    images of the adjoint."""

    @classmethod
    def of(
        cls,
        coefficients: Complex,
        mask: Mask,
        closed_form: ClosedForm,
        efficiency: float,
        limits: Mapping[str, tuple[float, float]] | None,
        threads: int,
        check: Callable[[], object],
        seen: float | None,
    ) -> "MeasuredSlice":
        """The slice with coefficients (K, y, x) in the basis of the closed form; see `refined_maps`."""
        y = torch.from_numpy(np.ascontiguousarray(coefficients[:, mask].T) / closed_form.basis.noise)
        return cls(y, closed_form, Unknowns(closed_form.model, limits or {}), efficiency, mask, threads, check, seen)

    def in_blocks(self, compute: Callable[..., tuple[Tensor, Equations]], *arrays: Tensor) -> tuple[Tensor, Equations]:
        """A function of voxels, computed block by block: unknowns, and equations there."""

        def one(*block: Tensor) -> tuple[Tensor, Equations]:
            self.check()
            return compute(*block, self.scales, self.closed_form, self.efficiency)

        with workers(self.threads) as pool:
            found = list(pool.map(one, *(torch.split(array, BLOCK) for array in arrays)))
        return torch.cat([x for x, _ in found]), Equations.joined([at for _, at in found])

    def equations_at(self, x: Tensor) -> Equations:
        """The normal equations at unknowns (voxels, n)."""
        return self.in_blocks(lambda y, x, *how: (x, equations(y, x, *how)), self.y, x)[1]

    def pool_of_means(self, x: Tensor, of_fit: Tensor) -> Pool:
        """The pool of unknowns (voxels, n) that are means over neighbours, from the variances of single voxels."""
        return self.pool(x, LEFT * of_fit, OF_MEANS)

    def leaked(self, x: Tensor) -> Tensor:
        """The variances (voxels, n) that the signal of nearby tissue adds to those of unknowns."""
        return LEAKAGE**2 * neighbourhood_variance(x, self.mask)

    def leaked_from_next(self, x: Tensor) -> Tensor:
        """The variances (voxels, n) that the signal of the next voxels adds to those of unknowns."""
        return LEAKAGE_FROM_NEXT**2 * neighbourhood_variance(x, self.mask, NEXT)

    def pool(self, guide: Tensor, variance: Tensor, tolerance: float) -> Pool:
        """The pool of a guide."""
        return Pool(self.mask, guide, variance, tolerance, self.threads, self.check)

    def noise_near(self, residuals: Tensor) -> Tensor:
        """The variance of the noise near each voxel (voxels,), from what is left unexplained of the variance."""
        return self.near(residuals) / (self.seen or 1)

    def near(self, values: Tensor) -> Tensor:
        """The mean of values (voxels,) over the neighbourhood of each voxel."""
        return torch.from_numpy(neighbourhood_mean(values.numpy(), self.mask).astype(np.float32)).clamp_min(1e-30)


def pooled_sums(pool: Pool, values: tuple[Tensor, ...]) -> list[Tensor]:
    """The sums of several values (voxels, channels) each over the neighbours, in one pass."""
    return list(torch.split(pool.sums(torch.cat(values, 1)), [value.shape[1] for value in values], 1))


def variances(information: Tensor) -> Tensor:
    """The variances (voxels, n) of unknowns with an information (voxels, n, n), drawn to their first values."""
    inverse: Tensor = torch.linalg.inv(information + torch.eye(information.shape[1]))
    return inverse.diagonal(dim1=1, dim2=2)
