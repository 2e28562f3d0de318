"""Residuals of measured fingerprints after a fit of a tissue model, and the derivatives of the fitted signal."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["beyond_maps", "fit_and_residual", "parameter_columns"]

RIDGE = 1e-6
"""Regularisation, which is needed if two parameters change the fingerprint in the same way."""


def parameter_columns(
    model: TissueModel, maps: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> list[Tensor]:
    """The parameters of the voxels in a mask, (voxels,) each, in the order of the model.

    Voxels without a pool have 0 in the maps of its properties; here they get the parameter's usual value instead.

    Args:
        model: the tissue model.
        maps: (y, x) each, those of all parameters at least.
        mask: (y, x) mask.

    """
    columns = []
    for parameter in model.parameters:
        values = maps[parameter.name][mask]
        if parameter.usual is not None:
            values = np.where(values > 0, values, np.float32(parameter.usual))
        columns.append(torch.from_numpy(values))
    return columns


def fit_and_residual(y: Tensor, signal: Tensor, derivatives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a complex factor by least squares, and return the residual and the derivatives of the fit as real numbers.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        signal: (voxels, K) closed-form coefficients over their noise, complex.
        derivatives: (voxels, parameters, K) derivatives of the signal.

    Returns:
        The factor (voxels,); the residual (voxels, 2K); the derivatives (voxels, parameters, 2K) of the fitted signal,
        without their part along the signal, because a change of the factor has the same effect.

    """
    power = torch.view_as_real(signal).square().sum((-2, -1)).clamp_min(1e-30)
    rho = (signal.conj() * y).sum(-1) / power
    residual = torch.view_as_real(y - rho[:, None] * signal).flatten(1)
    along = (derivatives @ signal.conj()[..., None]) / power[:, None, None]
    tangents = rho[:, None, None] * (derivatives - along * signal[:, None])
    return rho, residual, torch.view_as_real(tangents).flatten(2)


def beyond_maps(tangents: Tensor, n: int) -> Tensor:
    """The part of derivatives that no change of the maps reproduces.

    Args:
        tangents: (voxels, n + others, 2K) derivatives by the parameters of the maps, and then by something else.
        n: number of parameters.

    Returns:
        (voxels, others, 2K).

    """
    by_maps, others = tangents[:, :n], tangents[:, n:]
    by_maps = by_maps / by_maps.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    gram = by_maps @ by_maps.mT + RIDGE * torch.eye(n)
    reproduced: Tensor = torch.linalg.solve(gram, by_maps @ others.mT)
    beyond: Tensor = others - reproduced.mT @ by_maps
    return beyond
