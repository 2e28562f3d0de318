"""Errors of maps that the residuals of consistent images still show, removed from wide regions down to single voxels.

A network misses what it has not learnt, such as fine texture, and shifts whole muscles when the inversion is a little
better or worse than it was told. Without aliasing, the residuals show both. How much of what they ask for is error and
how much is noise is measured: around a voxel, squared gradients exceed those of noise by what errors add. The variance
of the errors, found so, is the prior of the step (empirical Bayes, as DerSimonian and Laird, Control Clin Trials
1986;7:177 find the variance between studies). Maps that are as good as their noise allows stay as they are.
"""

import math

import torch
from torch import Tensor

from spokestream.gadgets.model_fit.measured_slice import BLOCK, MeasuredSlice
from spokestream.gadgets.model_fit.neighbourhoods import NEIGHBOURHOOD, gaussian_equations, neighbourhood_mean
from spokestream.gadgets.workers import workers

__all__ = ["without_remaining_errors"]

WIDTHS = (4.0, 1.0, 0.0)
"""Standard deviations, in pixels, of the Gaussians over which errors are taken as shared, one after another; 0 stands
for single voxels."""
REACH = 3
"""Largest distance of a neighbour, in these standard deviations."""
OWN_NOISE = 1.5
"""Variance of the noise of single voxels relative to what no parameter explains: the images follow the maps where no
sample does, and so contain some of their errors. At the true maps of two simulated thighs, squared gradients by water
T1 in lean muscle were 1.4 and 1.5 times as large, pooled ones at most half as large."""
ROUNDS = 2
"""Number of estimates of the variance of the errors, each with the one before as prior of the other parameters."""
LEAST, MOST = 1e-6, 1.0
"""Bounds of this variance, in squared units of the unknowns; the largest is left of an unknown of which the signal says
nothing."""


def without_remaining_errors(measured: MeasuredSlice, x: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """The unknowns (voxels, n) without the errors that residuals show, and the variances (voxels, n) of what is left.

    Args:
        measured: the slice.
        x: (voxels, n) unknowns.
        std: (voxels, n) their standard deviations, at which the estimate of those of their errors begins.

    """
    at = measured.equations_at(x)
    noise = measured.noise_near(at.variance)
    fisher, gradient = at.fisher / noise[:, None, None], at.gradient / noise[:, None]
    weight = at.weights(noise)[:, None]
    weighted = fisher * weight[..., None]
    moved, left = torch.zeros_like(x), torch.zeros_like(x)
    for width in WIDTHS:
        remaining = gradient - (fisher @ moved[..., None])[..., 0]
        if width:
            reach, alike = math.ceil(REACH * width), 4 * math.pi * width**2
            near, target = gaussian_equations(weighted, remaining * weight, measured.mask, width, reach)
            step, variance = _step(measured, alike * near, alike * target, std, alike)
        else:
            step, variance = _step(measured, fisher / OWN_NOISE, remaining / OWN_NOISE, std, 1)
        moved, left = moved + step, left + variance
    return measured.scales.bounded(x + moved), left.clamp_max(MOST)


def _step(
    measured: MeasuredSlice, fisher: Tensor, gradient: Tensor, std: Tensor, alike: float
) -> tuple[Tensor, Tensor]:
    """The step (voxels, n) with a prior as wide as the errors nearby, and the variance (voxels, n) of what is left.

    Args:
        measured: the slice.
        fisher: (voxels, n, n) information.
        gradient: (voxels, n).
        std: (voxels, n) standard deviations of the unknowns.
        alike: number of voxels that share an error, and whose noise is averaged.

    """
    prior = std.square().clamp(LEAST, MOST).double()
    for number in range(ROUNDS + 1):
        step, variance = _solved(measured, fisher, gradient, prior)
        # given the prior of the others, an unknown has the information h and the score s, whose variance is
        # h + h^2 (variance of its error)
        information = (1 / variance - 1 / prior).clamp_min(0)
        if number == ROUNDS:
            break
        excess = _near(measured, (step / variance).square() - information)
        squared = _near(measured, information.square())
        prior = (excess / squared).clamp(LEAST, MOST)
        # the squares of few independent scores do not tell their variance well; errors may be larger by this much
        spread = _near(measured, (information + information.square() * prior).square()).sqrt()
        unsure = (2 * alike / NEIGHBOURHOOD**2) ** 0.5 * spread / squared
    return step.float(), (1 / (information + 1 / (prior + unsure).clamp_max(MOST))).float()


def _near(measured: MeasuredSlice, values: Tensor) -> Tensor:
    """The means of values (voxels, n) over the neighbourhoods of the voxels, but more than 0.

    In double precision, because squares of the information of data without noise are larger than float32 holds.
    """
    return torch.from_numpy(neighbourhood_mean(values.T.numpy(), measured.mask)).T.clamp_min(1e-30)


def _solved(measured: MeasuredSlice, fisher: Tensor, gradient: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely error (voxels, n) under a prior of these variances, and its variance, in double precision."""

    def one(fisher: Tensor, gradient: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        measured.check()
        inverse = torch.linalg.inv(fisher.double() + torch.diag_embed(1 / prior))
        return (inverse @ gradient.double()[..., None])[..., 0], inverse.diagonal(dim1=1, dim2=2)

    with workers(measured.threads) as pool:
        found = list(pool.map(one, *(torch.split(array, BLOCK) for array in (fisher, gradient, prior))))
    return torch.cat([step for step, _ in found]), torch.cat([variance for _, variance in found])
