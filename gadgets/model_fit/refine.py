"""Refinement of the maps of a slice: continuous values, pooled over neighbours of the same tissue, with their errors.

Maps of a search have the steps of its grid and the noise of single voxels. They are refined in three steps:

1. Every voxel is fitted by itself, from its first values (`own_fit`).
2. Every voxel gets the mean of the fits of its neighbours of the same tissue, weighted by their Fisher information.
3. The residuals of these means are pooled, and one more step removes them. It returns texture that the means have lost.

Maps that come with standard deviations, such as those of networks, have been compared with their neighbours already.
They get the third step only, stay within their standard deviations if the signal does not contradict them, and keep
these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.messages import Complex, Float, Mask
from spokestream.gadgets.model_fit.misfit import neighbourhood_mean, neighbourhood_variance
from spokestream.gadgets.model_fit.own_fit import RIDGE, Equations, equations, own_fit, solved
from spokestream.gadgets.model_fit.pooling import Pool
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["refined_maps"]

BLOCK = 4096
"""Number of voxels that are fitted at once."""
OF_FITS, OF_MEANS = 0.7, 2.0
"""Tolerances of the two pools, see `Pool`, found on simulated thighs of 128 and 350 pixels. A larger one gives smoother
maps and blurs muscle next to fat."""
LEFT = 0.25
"""Variance of means over neighbours relative to that of the fits of single voxels, at most."""
CORRELATED = 10.0
"""Number of voxels whose residuals count as one when maps with standard deviations are corrected: aliasing, and what
the model does not describe, is alike in neighbours."""
LARGEST_MISFIT = 2.0
"""Energy of the residual that a step would explain, over its expectation, at which a voxel counts half when it corrects
its neighbours: at edges, voxels hold signal of other tissue, which the model does not describe."""
LEAKAGE = 0.1
"""Standard deviation of the signal of nearby tissue in a voxel, as a part of how much the maps vary nearby. It looks
like the tissue's own signal, so that residuals do not show it: the readout blurs fat, and its aliasing has its
fingerprint. Found from the errors of the fat fraction in three simulated thighs."""


@dataclass(frozen=True)
class _Slice:
    """What a slice measured, and how it is computed with."""

    y: Tensor
    closed_form: ClosedForm
    scales: Unknowns
    efficiency: float
    mask: Mask
    threads: int
    check: Callable[[], object]

    def in_blocks(self, compute: Callable[..., tuple[Tensor, Equations]], *arrays: Tensor) -> tuple[Tensor, Equations]:
        """A function of voxels, computed block by block: unknowns, and equations there."""

        def one(*block: Tensor) -> tuple[Tensor, Equations]:
            self.check()
            return compute(*block, self.scales, self.closed_form, self.efficiency)

        with workers(self.threads) as pool:
            found = list(pool.map(one, *(torch.split(array, BLOCK) for array in arrays)))
        return torch.cat([x for x, _ in found]), Equations.joined([at for _, at in found])

    def pool(self, guide: Tensor, variance: Tensor, tolerance: float) -> Pool:
        """The pool of a guide."""
        return Pool(self.mask, guide, variance, tolerance, self.threads, self.check)

    def near(self, values: Tensor) -> Tensor:
        """The mean of values (voxels,) over the neighbourhood of each voxel."""
        return torch.from_numpy(neighbourhood_mean(values.numpy(), self.mask).astype(np.float32)).clamp_min(1e-30)


def refined_maps(
    coefficients: Complex,
    maps: Mapping[str, Float],
    mask: NDArray[np.bool_],
    closed_form: ClosedForm,
    efficiency: float = 1.0,
    limits: Mapping[str, tuple[float, float]] | None = None,
    threads: int = 1,
    check: Callable[[], object] = lambda: None,
) -> dict[str, Float]:
    """The refined maps of the parameters, with their standard deviations as `<name>_std` if the first maps had none.

    Standard deviations come from the Fisher information of the model with the noise and aliasing of the slice, which
    are measured as what no value of the parameters explains; they are those of the pooled values. A part of the
    variation nearby is added (`LEAKAGE`). A parameter of which the signal says nothing gets a quarter of its range.

    Args:
        coefficients: (K, y, x) of the slice, in the basis of the closed form.
        maps: (y, x) each, those of all parameters at least; with their standard deviations if they have any.
        mask: (y, x) voxels to refine; their maps must be finite.
        closed_form: the signal of the scan.
        efficiency: inversion efficiency.
        limits: name of a parameter -> lowest and highest value; without them, those of the parameter.
        threads: CPU threads. The result does not depend on their number.
        check: called between pieces of the work; raises an error if the scan was cancelled.

    Returns:
        Maps (y, x), 0 outside the mask and where the first map of a pool's property is 0.

    """
    model = closed_form.model
    scales = Unknowns(model, limits or {})
    y = torch.from_numpy(np.ascontiguousarray(coefficients[:, mask].T) / closed_form.basis.noise)
    measured = _Slice(y, closed_form, scales, efficiency, mask, threads, check)
    columns = parameter_columns(model, maps, mask)
    first = scales.of(columns)
    with workers(1) as pool:  # with more threads, torch would add in another order
        if any(f"{name}_std" in maps for name in model.names):
            x = pool.submit(_corrected, measured, first, _first_std(maps, measured, columns)).result()
            found = dict(zip(model.names, scales.parameters(x), strict=True))
        else:
            x, variance = pool.submit(_pooled, measured, first).result()
            found = dict(zip(model.names, scales.parameters(x), strict=True))
            stds = scales.std(variance.sqrt(), list(found.values()))
            found |= {f"{name}_std": std for name, std in zip(model.names, stds, strict=True)}
    pools = {parameter.name for parameter in model.parameters if parameter.usual is not None}
    out: dict[str, Float] = {}
    for name, column in found.items():
        of = name.removesuffix("_std")
        held = mask & (maps[of] != 0) if of in pools else mask
        out[name] = np.zeros(mask.shape, np.float32)
        out[name][held] = column.numpy()[held[mask]]
    return out


def _pooled(measured: _Slice, first: Tensor) -> tuple[Tensor, Tensor]:
    """The three steps from maps without standard deviations: unknowns and their variances (voxels, n)."""
    fit, at_fit = measured.in_blocks(own_fit, measured.y, first)
    variance = measured.near(at_fit.variance)
    of_fit = _variances(at_fit.fisher / variance[:, None, None])
    n, weight, power = fit.shape[1], 1 / variance[:, None], at_fit.power[:, None]
    target = at_fit.gradient + (at_fit.fisher @ fit[..., None])[..., 0]
    fisher, target, noise, strength = _sums(
        measured.pool(fit, of_fit, OF_FITS), (at_fit.fisher.flatten(1) * weight, target * weight, at_fit.noise, power)
    )
    mean = solved(fisher.reshape(-1, n, n) + torch.eye(n), target + fit, RIDGE)
    mean, at = measured.in_blocks(_at, measured.y, measured.scales.bounded(mean))
    error = noise / strength
    fisher, gradient, noise, strength = _sums(
        measured.pool(mean, LEFT * of_fit, OF_MEANS),
        (at.fisher.flatten(1) * weight, at.gradient * weight, at_fit.noise - power * error, power),
    )
    fisher = fisher.reshape(-1, n, n)
    x = measured.scales.bounded(mean + solved(fisher + torch.eye(n), gradient, RIDGE))
    # the residuals that no step explains went through the same sums; they tell how much of the noise is left
    left = measured.near((error + noise / strength).square().mean(1))
    known = _variances(fisher * (variance / left / strength[:, 0])[:, None, None])
    return x, known + LEAKAGE**2 * neighbourhood_variance(x, measured.mask)


def _corrected(measured: _Slice, first: Tensor, std: Tensor) -> Tensor:
    """One pooled step from maps with standard deviations (voxels, n): the unknowns."""
    n = first.shape[1]
    _, at = measured.in_blocks(_at, measured.y, first)
    variance = measured.near(at.variance)
    explicable = (at.gradient * solved(at.fisher, at.gradient, RIDGE)).sum(1) / n
    weight = (1 / (variance * CORRELATED) / (1 + explicable / variance / LARGEST_MISFIT))[:, None]
    of_fit = _variances(at.fisher / variance[:, None, None])
    pool = measured.pool(first, LEFT * of_fit, OF_MEANS)
    fisher, gradient = _sums(pool, (at.fisher.flatten(1) * weight, at.gradient * weight))
    information = fisher.reshape(-1, n, n) + torch.diag_embed(std**-2)
    return measured.scales.bounded(first + solved(information, gradient, RIDGE))


def _at(y: Tensor, x: Tensor, scales: Unknowns, closed_form: ClosedForm, efficiency: float) -> tuple[Tensor, Equations]:
    """The unknowns as they are, and the equations there."""
    return x, equations(y, x, scales, closed_form, efficiency)


def _first_std(maps: Mapping[str, Float], measured: _Slice, columns: list[Tensor]) -> Tensor:
    """The standard deviations (voxels, n) of first maps; 1 where they have none."""
    model, mask = measured.closed_form.model, measured.mask
    stds = [torch.from_numpy(maps.get(f"{name}_std", np.zeros(mask.shape, np.float32))[mask]) for name in model.names]
    found = measured.scales.of_std(stds, columns)
    return torch.where(found > 0, found, 1)


def _sums(pool: Pool, values: tuple[Tensor, ...]) -> list[Tensor]:
    """The sums of several values (voxels, channels) each over the neighbours, in one pass."""
    return list(torch.split(pool.sums(torch.cat(values, 1)), [value.shape[1] for value in values], 1))


def _variances(information: Tensor) -> Tensor:
    """The variances (voxels, n) of unknowns with an information (voxels, n, n), drawn to their first values."""
    inverse: Tensor = torch.linalg.inv(information + torch.eye(information.shape[1]))
    return inverse.diagonal(dim1=1, dim2=2)
