"""The misfit of parameters to a measured fingerprint: the part of the residual that other parameters would explain.

The norm of the residual is no good measure: with eight spokes, aliasing is so strong that it hides a wrong T1. The
projection of the residual onto the derivatives of the fingerprint is a good measure. If the parameters are right, this
part consists of noise and aliasing, and has as much energy per dimension as the rest of the residual. If they are
wrong, it has more.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.gadgets.model_fit.own_fit import Equations

__all__ = ["misfit", "neighbourhood_mean", "neighbourhood_variance"]

NEIGHBOURHOOD = 15
"""Side, in pixels, of the neighbourhood over which the energy of noise and aliasing is averaged."""


def misfit(at: Equations, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The amplitude of the explicable residual over that of noise and aliasing: about 1 where the maps are right.

    Aliasing comes from bright tissue around a voxel, so that its variance is averaged over a neighbourhood.

    Args:
        at: the normal equations of the maps in some voxels.
        mask: (y, x) mask of these voxels.

    Returns:
        The misfit (voxels,).

    """
    explicable = at.explicable.numpy() / at.gradient.shape[1]
    return np.asarray(np.sqrt(explicable / neighbourhood_mean(at.variance.numpy(), mask).clip(1e-30)), np.float32)


def neighbourhood_mean(values: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean (..., voxels) of values (..., voxels) of a mask (y, x) over the neighbourhood of each voxel."""
    fraction = _filtered(mask.astype(float))[mask]
    image, means = np.zeros(mask.shape), np.empty(values.shape)
    for index in np.ndindex(values.shape[:-1]):
        image[mask] = values[index]
        means[index] = _filtered(image)[mask] / fraction
    return means


def neighbourhood_variance(values: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """The variance (voxels, n) of values (voxels, n) of a mask (y, x) over the neighbourhood of each voxel."""
    columns = values.T.double().numpy()
    found = neighbourhood_mean(columns**2, mask) - neighbourhood_mean(columns, mask) ** 2
    return torch.from_numpy(np.ascontiguousarray(found.T.clip(0), np.float32))


def _filtered(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ndimage.uniform_filter(image, NEIGHBOURHOOD, mode="constant"))
