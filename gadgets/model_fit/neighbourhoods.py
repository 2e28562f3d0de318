"""Means, variances and sums over the neighbourhood of every voxel of a mask."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = ["NEIGHBOURHOOD", "gaussian_equations", "gaussian_sums", "neighbourhood_mean", "neighbourhood_variance"]

NEIGHBOURHOOD = 15
"""Side, in pixels, of the neighbourhood over which noise, aliasing and errors are averaged."""


def neighbourhood_mean(
    values: NDArray[np.floating], mask: NDArray[np.bool_], side: int = NEIGHBOURHOOD
) -> NDArray[np.float64]:
    """The mean (..., voxels) of values (..., voxels) of a mask (y, x) over a square of pixels around each voxel."""
    fraction = _filtered(mask.astype(float), side)[mask]
    image, means = np.zeros(mask.shape), np.empty(values.shape)
    for index in np.ndindex(values.shape[:-1]):
        image[mask] = values[index]
        means[index] = _filtered(image, side)[mask] / fraction
    return means


def neighbourhood_variance(values: Tensor, mask: NDArray[np.bool_], side: int = NEIGHBOURHOOD) -> Tensor:
    """The variance (voxels, n) of values (voxels, n) of a mask (y, x) over a square of pixels around each voxel."""
    columns = values.T.double().numpy()
    found = neighbourhood_mean(columns**2, mask, side) - neighbourhood_mean(columns, mask, side) ** 2
    return torch.from_numpy(np.ascontiguousarray(found.T.clip(0), np.float32))


def gaussian_sums(values: Tensor, mask: NDArray[np.bool_], width: float, reach: int) -> Tensor:
    """The sums of values (voxels, channels) over the neighbours, weighted by a Gaussian with a sum of 1.

    Args:
        values: (voxels, channels).
        mask: (y, x) mask of the voxels.
        width: standard deviation of the Gaussian in pixels.
        reach: largest distance of a neighbour along an axis, in pixels.

    """
    inside = mask[np.ix_(*(range(hit.min(), hit.max() + 1) for hit in np.nonzero(mask)))]
    out, image = np.empty(values.shape, np.float32), np.zeros(inside.shape, np.float32)
    for i, column in enumerate(values.numpy().T):
        image[inside] = column
        out[:, i] = ndimage.gaussian_filter(image, width, mode="constant", radius=reach)[inside]
    return torch.from_numpy(out)


def gaussian_equations(
    fisher: Tensor, gradient: Tensor, mask: NDArray[np.bool_], width: float, reach: int
) -> tuple[Tensor, Tensor]:
    """The sums of information (voxels, n, n), which is symmetric, and gradients (voxels, n), as by `gaussian_sums`."""
    n = gradient.shape[1]
    rows, columns = torch.triu_indices(n, n)
    sums = gaussian_sums(torch.cat((fisher[:, rows, columns], gradient), 1), mask, width, reach)
    information = torch.zeros_like(fisher)
    information[:, rows, columns] = information[:, columns, rows] = sums[:, : len(rows)]
    return information, sums[:, len(rows) :]


def _filtered(image: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    return np.asarray(ndimage.uniform_filter(image, side, mode="constant"))
