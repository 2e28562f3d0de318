"""Refinement of the maps of a slice: continuous values, pooled over neighbours of the same tissue, with their errors.

Maps of a search have the steps of its grid and the noise of single voxels. They are refined in three steps:

1. Every voxel is fitted by itself, from its first values (`own_fit`).
2. Every voxel gets the mean of the fits of its neighbours of the same tissue, weighted by their Fisher information.
3. The residuals of these means are pooled, and one more step removes them. It returns texture that the means have lost.

Maps that come with standard deviations, such as those of networks, are corrected instead (`corrected`).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.messages import Complex, Float
from spokestream.gadgets.model_fit.correction import corrected
from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice, pooled_sums, variances
from spokestream.gadgets.model_fit.own_fit import RIDGE, own_fit, solved
from spokestream.gadgets.model_fit.residuals import parameter_columns
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["as_maps", "first_std", "refined_maps"]

LEAST_STD = 1e-6
"""Least standard deviation of a first map, in units of the unknowns: the square of a smaller one may be 0."""
OF_FITS = 0.7
"""Tolerance of the pool of the fits of single voxels, found like that of means."""


def refined_maps(
    coefficients: Complex,
    maps: Mapping[str, Float],
    mask: NDArray[np.bool_],
    closed_form: ClosedForm,
    efficiency: float = 1.0,
    limits: Mapping[str, tuple[float, float]] | None = None,
    threads: int = 1,
    check: Callable[[], object] = lambda: None,
    seen: float | None = None,
) -> dict[str, Float]:
    """The refined maps of the parameters, with their standard deviations as `<name>_std`.

    Standard deviations come from the Fisher information of the model with the noise and aliasing of the slice, which
    are measured as what no value of the parameters explains; they are those of the pooled values. A part of the
    variation nearby is added. A parameter of which the signal says nothing gets a quarter of its range. Maps that are
    corrected keep their own standard deviations in images of the adjoint where the signal does not contradict them.

    Args:
        coefficients: (K, y, x) of the slice, in the basis of the closed form.
        maps: (y, x) each, those of all parameters at least; with their standard deviations if they have any.
        mask: (y, x) voxels to refine; their maps must be finite.
        closed_form: the signal of the scan.
        efficiency: inversion efficiency.
        limits: name of a parameter -> lowest and highest value; without them, those of the parameter.
        threads: CPU threads. The result does not depend on their number.
        check: called between pieces of the work; raises an error if the scan was cancelled.
        seen: the part of the variance of consistent images that shows in what no value of the parameters explains,
            because the rest of them is the signal of maps; None for images of the adjoint.

    Returns:
        Maps (y, x), 0 outside the mask and where the first map of a pool's property is 0.

    """
    model = closed_form.model
    measured = MeasuredSlice.of(coefficients, mask, closed_form, efficiency, limits, threads, check, seen)
    columns = parameter_columns(model, maps, mask)
    first = measured.scales.of(columns)
    with workers(1) as pool:  # with more threads, torch would add in another order
        if any(f"{name}_std" in maps for name in model.names):
            x, variance = pool.submit(corrected, measured, first, first_std(maps, measured, columns)).result()
        else:
            x, variance = pool.submit(_pooled, measured, first).result()
    return as_maps(measured, x, variance.sqrt(), maps)


def as_maps(measured: MeasuredSlice, x: Tensor, std: Tensor, maps: Mapping[str, Float]) -> dict[str, Float]:
    """Maps (y, x) of unknowns (voxels, n) and their standard deviations, 0 where a first map of a pool is 0."""
    model, mask = measured.closed_form.model, measured.mask
    found = dict(zip(model.names, measured.scales.parameters(x), strict=True))
    stds = measured.scales.std(std, list(found.values()))
    found |= {f"{name}_std": values for name, values in zip(model.names, stds, strict=True)}
    pools = {parameter.name for parameter in model.parameters if parameter.usual is not None}
    out: dict[str, Float] = {}
    for name, column in found.items():
        of = name.removesuffix("_std")
        held = mask & (maps[of] != 0) if of in pools else mask
        out[name] = np.zeros(mask.shape, np.float32)
        out[name][held] = column.numpy()[held[mask]]
    return out


def _pooled(measured: MeasuredSlice, first: Tensor) -> tuple[Tensor, Tensor]:
    """The three steps from maps without standard deviations: unknowns and their variances (voxels, n)."""
    fit, at_fit = measured.in_blocks(own_fit, measured.y, first)
    variance = measured.noise_near(at_fit.variance)
    of_fit = variances(at_fit.fisher / variance[:, None, None])
    n, weight, power = fit.shape[1], 1 / variance[:, None], at_fit.power[:, None]
    target = at_fit.gradient + (at_fit.fisher @ fit[..., None])[..., 0]
    fisher, target, noise, strength = pooled_sums(
        measured.pool(fit, of_fit, OF_FITS), (at_fit.fisher.flatten(1) * weight, target * weight, at_fit.noise, power)
    )
    mean = solved(fisher.reshape(-1, n, n) + torch.eye(n), target + fit, RIDGE)
    mean = measured.scales.bounded(mean)
    at = measured.equations_at(mean)
    error = noise / strength
    fisher, gradient, noise, strength = pooled_sums(
        measured.pool_of_means(mean, of_fit),
        (at.fisher.flatten(1) * weight, at.gradient * weight, at_fit.noise - power * error, power),
    )
    fisher = fisher.reshape(-1, n, n)
    x = measured.scales.bounded(mean + solved(fisher + torch.eye(n), gradient, RIDGE))
    # the residuals that no step explains went through the same sums; they tell how much of the noise is left
    left = measured.noise_near((error + noise / strength).square().mean(1))
    known = variances(fisher * (variance / left / strength[:, 0])[:, None, None])
    return x, known + measured.leaked(x)


def first_std(maps: Mapping[str, Float], measured: MeasuredSlice, columns: list[Tensor]) -> Tensor:
    """The standard deviations (voxels, n) of first maps; infinite where they have none."""
    model, mask = measured.closed_form.model, measured.mask
    stds = [torch.from_numpy(maps.get(f"{name}_std", np.zeros(mask.shape, np.float32))[mask]) for name in model.names]
    found = measured.scales.of_std(stds, columns)
    return torch.where(found > 0, found.clamp_min(LEAST_STD), torch.inf)
