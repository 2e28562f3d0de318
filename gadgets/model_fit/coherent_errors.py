"""Errors that the voxels of a region have in common, estimated from the residuals of their fingerprints together.

The noise of one voxel hides an error of 150 ms of water T1. The gradient of its residual by a parameter says in which
direction the signal wants the parameter to go; its expectation is the Fisher information times the error. Summed over
neighbours, the gradients give the error that these have in common, with a standard deviation several times smaller.
"""

from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.gadgets.model_fit.neighbourhoods import (
    gaussian_equations,
    gaussian_sums,
    neighbourhood_mean,
    neighbourhood_variance,
)
from spokestream.gadgets.model_fit.own_fit import Equations
from spokestream.gadgets.model_fit.pooling import REACH, WIDTH

__all__ = ["coherent_errors", "wrong_regions"]

FIELD_PEAKS, REAL_OVER_IDEAL = 3.5, 1.2
CERTAIN = REAL_OVER_IDEAL * FIELD_PEAKS
"""Standard deviations, 4.2, from which an error is certain: 2 % of the voxels of true maps may be called wrong.

Pooled white noise is a smooth random field. It has u exp(-u^2 / 2) / ((2 pi)^1.5 2 WIDTH^2) peaks a voxel above a
threshold u (Adler, The geometry of random fields, 1981). Around a peak, 4 pi ln 2 WIDTH^2 voxels have more than half of
its height. With two signs and five parameters, these are 2 % of the voxels at u = 3.5 (`FIELD_PEAKS`). In two simulated
thighs of 350 pixels, the true maps had so few at a threshold that was 1.2 times as high, because the model leaves out
some of what happens at edges. In two other thighs, they were 2.0 %."""
AT_BORDER = CERTAIN / 2
"""Standard deviations from which a voxel next to a certain one is wrong, too: at the straight border of a region, half
of the neighbours are outside."""
LEAST_NOISE = 0.5
"""Least noise of a gradient, relative to that of what no parameter explains. True maps have 0.6 to 1.9. Maps that
follow the noise of every voxel have less, and it says nothing of the error that neighbours have in common."""
LEAKAGE = 0.05
"""Standard deviation of a pooled error from the signal of nearby tissue, as a part of how much the maps vary nearby:
half of that of a voxel in a `MeasuredSlice`. With 0.1, true maps had hardly fewer false alarms, and 150 ms of water T1
were found in 88 % of the voxels instead of 97 %."""
MEDIAN = NormalDist().inv_cdf(0.75) * 2**0.5
"""Median of the absolute difference of two normal values, over their standard deviation."""


def coherent_errors(at: Equations, unknowns: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """The estimated errors (voxels, n) over their standard deviations; positive where a value should be higher.

    Neighbours are weighted by a Gaussian of `WIDTH` pixels, and less if their residual is large: at edges, voxels hold
    signal of other tissue. The level of noise and aliasing is that of the slice near a voxel, corrected for every
    parameter by the differences between the gradients of adjacent voxels. The signal of nearby tissue is part of the
    standard deviation (`LEAKAGE`).

    Args:
        at: the equations of the voxels at the values of the maps.
        unknowns: (voxels, n) these values.
        mask: (y, x) mask of the voxels.

    """
    n = unknowns.shape[1]
    if not len(unknowns):
        return unknowns
    variance = torch.from_numpy(neighbourhood_mean(at.variance.numpy(), mask).astype(np.float32)).clamp_min(1e-30)
    weight = at.weights(variance)[:, None]
    fisher, gradient = at.fisher / variance[:, None, None], at.gradient / variance[:, None]
    single = fisher.diagonal(dim1=1, dim2=2)
    amplitude = _roughness(gradient / single.sqrt().clamp_min(1e-15), mask).clamp_min(LEAST_NOISE)
    information, target = gaussian_equations(fisher * weight[..., None], gradient * weight, mask, WIDTH, REACH)
    # the variance of a sum has the squares of its weights, which are a narrower Gaussian
    strength = single.sum(1, keepdim=True)
    left = gaussian_sums(strength * weight**2, mask, WIDTH / 2**0.5, REACH) / (4 * np.pi * WIDTH**2)
    left = left / gaussian_sums(strength * weight, mask, WIDTH, REACH).clamp_min(1e-30)
    prior = left[:, :, None] * torch.eye(n)
    inverse = torch.linalg.inv(information + prior)
    step = (inverse @ target[..., None])[..., 0]
    noise = amplitude * (left[:, :, None] * information) * amplitude[:, None]
    spread = ((inverse @ noise) * inverse).sum(2)  # the diagonal of inverse @ noise @ inverse, all symmetric
    leaked = LEAKAGE**2 * neighbourhood_variance(unknowns, mask)
    errors: Tensor = step / (spread + leaked).clamp_min(1e-30).sqrt()
    return errors


def wrong_regions(errors: Tensor, judged: Tensor, mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Where values should be higher (1) or lower (-1), (voxels, n); 0 elsewhere.

    Args:
        errors: (voxels, n) as `coherent_errors` gives them.
        judged: (voxels, n) mask of the values that have a meaning.
        mask: (y, x) mask of the voxels.

    """
    found = np.zeros(errors.shape, np.int8)
    image = np.zeros(mask.shape, np.float32)
    for i, column in enumerate(torch.where(judged, errors, 0).numpy().T):
        image[mask] = column
        for sign in (1, -1):
            regions, _ = ndimage.label(sign * image > AT_BORDER, np.ones((3, 3)))
            certain = np.unique(regions[sign * image > CERTAIN])
            found[np.isin(regions[mask], certain), i] = sign
    return found


def _roughness(values: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """The standard deviation (channels,) of values (voxels, channels), from the differences of adjacent voxels."""
    numbers = np.full(mask.shape, -1)
    numbers[mask] = np.arange(len(values))
    first, second = numbers[:, :-1].ravel(), numbers[:, 1:].ravel()
    both = (first >= 0) & (second >= 0)
    if not both.any():
        return torch.ones(values.shape[1])
    return (values[first[both]] - values[second[both]]).abs().median(0).values / MEDIAN
