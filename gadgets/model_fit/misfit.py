"""Whether parameters explain a measured fingerprint, by the part of the residual that other parameters would explain.

The residual itself says little: eight spokes scatter so much over the image that a wrong T1 is hidden in it. What tells
is its projection onto the fingerprint's derivatives. Where the parameters are right, that part is noise and aliasing,
with as much energy per dimension as the rest of the residual; where they are wrong, it has more.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.gadgets.model_fit.residuals import fit_and_residual

__all__ = ["Explained", "explained", "misfit"]

NEIGHBOURHOOD = 15
"""Pixels over which the strength of noise and aliasing is averaged."""
RIDGE = 1e-4
"""Bounds steps along parameters that change the fingerprint alike."""


@dataclass(frozen=True)
class Explained:
    """How well the closed-form fingerprints of some voxels explain the measured ones. All arrays are (voxels,)."""

    rho: Tensor
    """The complex factor that explains most: proton density times exp(i phase)."""
    residual: Tensor
    """Norm of the residual over that of the measured fingerprint: 0..1."""
    explicable: Tensor
    """Energy of the residual that other values of the parameters would explain, per parameter."""
    noise: Tensor
    """Energy of the rest of the residual per dimension: the variance of noise and aliasing."""

    @classmethod
    def joined(cls, parts: list["Explained"]) -> "Explained":
        """The voxels of all parts, in their order."""
        names = ("rho", "residual", "explicable", "noise")
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def explained(y: Tensor, signal: Tensor, derivatives: Tensor) -> Explained:
    """Fit a complex factor by least squares, and split the residual.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        signal: (voxels, K) closed-form ones, likewise.
        derivatives: (voxels, parameters, K) of the signal.

    """
    rho, residual, tangents = fit_and_residual(y, signal, derivatives)
    tangents = tangents / tangents.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    gram = tangents @ tangents.mT + RIDGE * torch.eye(tangents.shape[1])
    towards = tangents @ residual[..., None]
    explicable = (towards * torch.linalg.solve(gram, towards)).sum((-2, -1))
    energy, n = residual.square().sum(-1), tangents.shape[1]
    measured = torch.view_as_real(y).square().sum((-2, -1))
    return Explained(
        rho,
        (energy / measured.clamp_min(1e-30)).sqrt(),
        explicable / n,
        (energy - explicable).clamp_min(0) / (2 * y.shape[1] - 2 - n),
    )


def misfit(explicable: NDArray[np.float32], noise: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Amplitude of what other parameters would explain, over that of noise and aliasing: 1 where the maps are right.

    Aliasing comes from bright tissue around a voxel, so its strength is averaged over a neighbourhood.

    Args:
        explicable: (voxels,) as in `Explained`.
        noise: (voxels,) likewise.
        mask: (y, x), where the voxels lie.

    Returns:
        (voxels,)

    """
    image = np.zeros(mask.shape)
    image[mask] = noise
    near = ndimage.uniform_filter(image, NEIGHBOURHOOD, mode="constant")
    fraction = ndimage.uniform_filter(mask.astype(float), NEIGHBOURHOOD, mode="constant")
    variance = (near[mask] / fraction[mask]).clip(1e-30)
    return np.asarray(np.sqrt(explicable / variance), np.float32)
