"""The fit of a tissue model to every voxel by itself: Levenberg-Marquardt with the proton density projected out.

The complex proton density enters linearly and is solved for in every step (variable projection, Golub and Pereyra, SIAM
J Numer Anal 1973;10:413, with the approximation of Kaufman), so that only the parameters are unknown.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from spokestream.gadgets.model_fit.residuals import fit_and_residual
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.simulator.physics.tissue_models.tissue_model import FREE, ClosedForm

__all__ = ["RIDGE", "Equations", "equations", "normal_equations", "own_fit", "solved"]

MOST_STEPS = 5
"""Largest number of steps. From the nearest atom of a dictionary, one or two suffice."""
SMALLEST_GAIN = 0.01
"""Decrease of the cost, which is half the squared residual over the variance, below which a voxel is left alone. A step
that gains so little is shorter than a seventh of the standard deviation."""
FARTHEST = 0.3
"""Largest distance from the first values, in units of the unknowns: two to three steps of a grid. A search has found
the best of all atoms; what is farther away is a minimum that noise has made, or a voxel of several tissues."""
FIRST_DAMPING, MORE = 1e-2, 10.0
"""Damping after the first step that failed, relative to the information, and the factor after every other one."""
RIDGE = 1e-6
"""Regularisation relative to the information, for parameters of which a signal holds nothing."""
LARGEST_MISFIT = 2.0
"""Energy of the residual that a step would explain, over its expectation, at which a voxel counts half when it corrects
its neighbours: at edges, voxels hold signal of other tissue, which the model does not describe."""
CHANNELS = 8
"""Number of random projections of the residual that represent it when residuals are pooled."""


@dataclass(frozen=True)
class Equations:
    """The normal equations of voxels: fisher (step of the unknowns) = gradient, both not divided by the variance."""

    fisher: Tensor
    """(voxels, n, n)"""
    gradient: Tensor
    """(voxels, n)"""
    energy: Tensor
    """(voxels,) squared norm of the residual."""
    explicable: Tensor
    """(voxels,) the part of it that other values of the parameters would explain, to first order."""
    variance: Tensor
    """(voxels,) energy per dimension of the part of the residual that no step reduces."""
    power: Tensor
    """(voxels,) squared proton density."""
    noise: Tensor
    """(voxels, CHANNELS) random projections of this part times the proton density, of variance `power * variance`."""

    def __getitem__(self, voxels: Tensor) -> "Equations":
        return Equations(*(getattr(self, field.name)[voxels] for field in fields(self)))

    def with_voxels(self, voxels: Tensor, others: "Equations") -> "Equations":
        """These equations, in which some voxels are those of others."""
        return Equations(*(getattr(self, f.name).index_copy(0, voxels, getattr(others, f.name)) for f in fields(self)))

    def weights(self, variance: Tensor) -> Tensor:
        """The weights (voxels,) in sums over neighbours, which fall where a step explains much; see `LARGEST_MISFIT`.

        Args:
            variance: (voxels,) noise and aliasing near each voxel, as energy per dimension.

        """
        return 1 / (1 + self.explicable / self.gradient.shape[1] / variance / LARGEST_MISFIT)

    @classmethod
    def joined(cls, parts: list["Equations"]) -> "Equations":
        """The parts one after another, as one."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def equations(y: Tensor, unknowns: Tensor, scales: Unknowns, closed_form: ClosedForm, efficiency: float) -> Equations:
    """The normal equations at some values of the unknowns.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        unknowns: (voxels, n).
        scales: the scales of the unknowns.
        closed_form: the signal through the basis of the coefficients.
        efficiency: inversion efficiency.

    """
    signal, derivatives = closed_form.at(*scales.parameters(unknowns), efficiency=efficiency)
    return normal_equations(*fit_and_residual(y, signal, derivatives), scales)


def normal_equations(rho: Tensor, residual: Tensor, tangents: Tensor, scales: Unknowns) -> Equations:
    """The normal equations of a fit, as `fit_and_residual` returns it, for unknowns of these scales."""
    tangents = tangents * scales.units[:, None]
    fisher, gradient = tangents @ tangents.mT, (tangents @ residual[..., None])[..., 0]
    step = solved(fisher, gradient, RIDGE)
    rest = residual - (tangents.mT @ step[..., None])[..., 0]
    n, size = tangents.shape[1:]
    degrees = max(size - FREE - n, 1)
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (size, CHANNELS), generator=generator).float() * 2 - 1
    turned = torch.view_as_real(
        rho.conj()[:, None] * torch.view_as_complex(rest.reshape(len(rest), size // 2, 2))
    ).flatten(1)
    return Equations(
        fisher, gradient, residual.square().sum(1), (gradient * step).sum(1).clamp_min(0),
        rest.square().sum(1) / degrees, rho.abs().square(), turned @ signs / degrees**0.5,
    )  # fmt: skip


def solved(matrix: Tensor, right: Tensor, ridge: Tensor | float) -> Tensor:
    """The solution (voxels, n) of equations (voxels, n, n) whose diagonal is raised by a part of itself."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    raised = matrix + torch.diag_embed(diagonal * ridge + 1e-30)
    solution: Tensor = torch.linalg.solve(raised, right[..., None])
    return solution[..., 0]


def own_fit(
    y: Tensor, first: Tensor, scales: Unknowns, closed_form: ClosedForm, efficiency: float
) -> tuple[Tensor, Equations]:
    """The unknowns (voxels, n) that fit each voxel best, and the equations there.

    Each unknown is drawn to its first value with a standard deviation of 1, its unit, and stays near it (`FARTHEST`).

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        first: (voxels, n) first values.
        scales: the scales of the unknowns.
        closed_form: the signal through the basis of the coefficients.
        efficiency: inversion efficiency.

    """
    n = first.shape[1]
    x, at = first, equations(y, first, scales, closed_form, efficiency)
    damping = torch.zeros(len(y))
    moving = torch.arange(len(y))
    for _ in range(MOST_STEPS):
        here, x0, start = at[moving], x[moving], first[moving]
        variance = here.variance.clamp_min(1e-30)
        information = here.fisher / variance[:, None, None] + torch.eye(n)
        gradient = here.gradient / variance[:, None] + start - x0
        step = solved(information, gradient, damping[moving, None])
        tried = scales.bounded((x0 + step).clamp(start - FARTHEST, start + FARTHEST))
        gain = 0.5 * ((tried - x0) * gradient).sum(1)
        going = gain > SMALLEST_GAIN
        if not going.any():
            break
        moving, x0, start, tried, variance = moving[going], x0[going], start[going], tried[going], variance[going]
        there = equations(y[moving], tried, scales, closed_form, efficiency)
        drawn = (tried - start).square().sum(1) - (x0 - start).square().sum(1)
        better = there.energy + variance * drawn < at.energy[moving]
        accepted = moving[better]
        x, at = x.index_copy(0, accepted, tried[better]), at.with_voxels(accepted, there[better])
        damping[moving] = torch.where(better, damping[moving] / MORE, (damping[moving] * MORE).clamp_min(FIRST_DAMPING))
    return x, at
