"""Correction of maps that have standard deviations, such as those of networks, by what the signal says.

Such maps have been compared with their neighbours already. One step, from the residuals of neighbours together, moves
them within their standard deviations. A network does not know what it has not learnt from: where a region of the signal
contradicts its maps with certainty (`wrong_regions`), their standard deviations are no evidence. There they are
widened, and steps are repeated; but only with a tissue model that describes the efficiency of the inversion, because
all true maps contradict one that does not.

Consistent images are free of aliasing. Their residuals tell more, and a last step follows (`without_remaining_errors`).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.gadgets.model_fit.coherent_errors import coherent_errors, wrong_regions
from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice, pooled_sums, variances
from spokestream.gadgets.model_fit.own_fit import RIDGE, Equations, solved
from spokestream.gadgets.model_fit.remaining_errors import without_remaining_errors

__all__ = ["FEW", "contradicted_regions", "corrected"]

CORRELATED = 10.0
"""Number of voxels whose residuals count as one: aliasing, and what the model does not describe, is alike in
neighbours."""
WRONG, BESIDE_WRONG = 0.5, 0.15
"""Standard deviations in a contradicted region, in quarters of a range: of the values that the signal contradicts, and
of the others, which the same mistake may have moved a little. With 0.5 for all of them, a few percent of contradicted
voxels made the errors of true fat fractions larger."""
THIN = 2
"""Pixels around a contradicted one that must be, too: at edges, voxels hold signal of other tissue."""
FEW = 0.05
"""Fraction of contradicted voxels for which one step is enough, and below which a network needs no correction."""
MOST_STEPS = 3


def corrected(measured: MeasuredSlice, first: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """The unknowns (voxels, n) after the correction, and their variances.

    Args:
        measured: the slice.
        first: (voxels, n) the unknowns of the maps.
        std: (voxels, n) their standard deviations; infinite for values without one, which get a quarter of the range.

    """
    x, drawn_to, width = first, first, std.clamp_max(1)
    for number in range(MOST_STEPS):
        at = measured.equations_at(x)
        wrong, region = _contradicted(measured, at, x)
        few = float(region.float().mean()) < FEW
        if few and number:
            break
        released = torch.where(wrong, WRONG, BESIDE_WRONG)
        width = torch.where(region[:, None], torch.maximum(width, released), width)
        drawn_to = torch.where(region[:, None], x, drawn_to)
        fisher, gradient = _pooled(measured, x, at)
        information = fisher + torch.diag_embed(width**-2)
        x = measured.scales.bounded(x + solved(information, gradient + (drawn_to - x) / width**2, RIDGE))
        if few:
            break
    found = torch.linalg.inv(information).diagonal(dim1=1, dim2=2) + measured.leaked(x)
    variance = torch.where(width == std, std**2, found)
    if measured.seen is None:
        return x, variance
    x, left = without_remaining_errors(measured, x, variance.sqrt())
    return x, left + measured.leaked_from_next(x)


def contradicted_regions(wrong: NDArray[np.generic], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels (voxels,) of a mask (y, x) in regions of wrong values (voxels, n), without thin ones (`THIN`)."""
    image = np.zeros(mask.shape, bool)
    image[mask] = np.any(wrong, axis=1)
    return np.asarray(ndimage.binary_opening(image, np.ones((3, 3)), iterations=THIN)[mask])


def _contradicted(measured: MeasuredSlice, at: Equations, x: Tensor) -> tuple[Tensor, Tensor]:
    """The values (voxels, n) that the signal contradicts, and the voxels (voxels,) of regions of such values."""
    if measured.closed_form.model.nominal_flip_angles:
        return torch.zeros_like(x, dtype=torch.bool), torch.zeros(len(x), dtype=torch.bool)
    errors = coherent_errors(at, x, measured.mask)
    wrong = wrong_regions(errors, torch.ones_like(errors, dtype=torch.bool), measured.mask)
    return torch.from_numpy(wrong != 0), torch.from_numpy(contradicted_regions(wrong, measured.mask))


def _pooled(measured: MeasuredSlice, x: Tensor, at: Equations) -> tuple[Tensor, Tensor]:
    """The information (voxels, n, n) and gradient (voxels, n) of neighbours together, from the equations at x."""
    n = x.shape[1]
    variance = measured.noise_near(at.variance)
    weight = (at.weights(variance) / (variance * CORRELATED))[:, None]
    pool = measured.pool_of_means(x, variances(at.fisher / variance[:, None, None]))
    fisher, gradient = pooled_sums(pool, (at.fisher.flatten(1) * weight, at.gradient * weight))
    return fisher.reshape(-1, n, n), gradient
