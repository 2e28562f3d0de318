"""The misfit of parameters to a measured fingerprint: the part of the residual that other parameters would explain.

The norm of the residual is no good measure: with eight spokes, aliasing is so strong that it hides a wrong T1. The
projection of the residual onto the derivatives of the fingerprint is a good measure. If the parameters are right, this
part consists of noise and aliasing, and has as much energy per dimension as the rest of the residual. If they are
wrong, it has more.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = ["Explained", "explained", "misfit", "neighbourhood_mean", "neighbourhood_variance"]

NEIGHBOURHOOD = 15
"""Side, in pixels, of the neighbourhood over which the energy of noise and aliasing is averaged."""
RIDGE = 1e-4
"""Regularisation, which is needed if two parameters change the fingerprint in the same way."""


@dataclass(frozen=True)
class Explained:
    """The fit of closed-form fingerprints to the measured ones of some voxels. All arrays are (voxels,)."""

    rho: Tensor
    """The complex factor that fits best: proton density times exp(i phase)."""
    residual: Tensor
    """Norm of the residual over the norm of the measured fingerprint, 0..1."""
    explicable: Tensor
    """Energy of the residual that other values of the parameters would explain, divided by their number."""
    noise: Tensor
    """Energy of the rest of the residual per dimension, which is the variance of noise and aliasing."""

    @classmethod
    def joined(cls, parts: list["Explained"]) -> "Explained":
        """The parts one after another, as one."""
        names = ("rho", "residual", "explicable", "noise")
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def explained(y: Tensor, rho: Tensor, residual: Tensor, tangents: Tensor) -> Explained:
    """Split the residual of a fit, as `fit_and_residual` returns it, of measured coefficients y (voxels, K)."""
    tangents = tangents / tangents.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    gram = tangents @ tangents.mT + RIDGE * torch.eye(tangents.shape[1])
    projection = tangents @ residual[..., None]
    explicable = (projection * torch.linalg.solve(gram, projection)).sum((-2, -1))
    energy, n = residual.square().sum(-1), tangents.shape[1]
    measured = torch.view_as_real(y).square().sum((-2, -1))
    return Explained(
        rho,
        (energy / measured.clamp_min(1e-30)).sqrt(),
        explicable / n,
        (energy - explicable).clamp_min(0) / (2 * y.shape[1] - 2 - n),
    )


def misfit(explicable: NDArray[np.float32], noise: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The amplitude of the explicable residual over that of noise and aliasing: about 1 where the maps are right.

    Aliasing comes from bright tissue around a voxel, so that its variance is averaged over a neighbourhood.

    Args:
        explicable: (voxels,) as in `Explained`.
        noise: (voxels,) as in `Explained`.
        mask: (y, x) mask of the voxels.

    Returns:
        The misfit (voxels,).

    """
    return np.asarray(np.sqrt(explicable / neighbourhood_mean(noise, mask).clip(1e-30)), np.float32)


def neighbourhood_mean(values: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean (voxels,) of values (voxels,) of a mask (y, x) over the neighbourhood of each voxel."""
    image = np.zeros(mask.shape)
    image[mask] = values
    near = ndimage.uniform_filter(image, NEIGHBOURHOOD, mode="constant")
    fraction = ndimage.uniform_filter(mask.astype(float), NEIGHBOURHOOD, mode="constant")
    return np.asarray(near[mask] / fraction[mask])


def neighbourhood_variance(values: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """The variance (voxels, n) of values (voxels, n) of a mask (y, x) over the neighbourhood of each voxel."""
    columns = [column.double().numpy() for column in values.T]
    found = [neighbourhood_mean(c**2, mask) - neighbourhood_mean(c, mask) ** 2 for c in columns]
    return torch.from_numpy(np.stack(found, 1).clip(0).astype(np.float32))
