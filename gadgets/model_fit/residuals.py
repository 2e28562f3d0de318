"""What a tissue model leaves unexplained of measured fingerprints, and how the model could change to explain it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["fit_and_residual", "parameter_columns"]


def parameter_columns(
    model: TissueModel, maps: Mapping[str, NDArray[np.float32]], mask: NDArray[np.bool_]
) -> list[Tensor]:
    """The parameters of the voxels of a mask, (voxels,) each, in the order of the model.

    A map that is 0 where its pool is absent gets the parameter's usual value there.

    Args:
        model: the tissue model.
        maps: (y, x) each, those of all parameters at least.
        mask: (y, x).

    """
    columns = []
    for parameter in model.parameters:
        values = maps[parameter.name][mask]
        if parameter.usual is not None:
            values = np.where(values > 0, values, np.float32(parameter.usual))
        columns.append(torch.from_numpy(values))
    return columns


def fit_and_residual(y: Tensor, signal: Tensor, derivatives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a complex factor by least squares; give the residual, and how the fitted signal can change, as real numbers.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        signal: (voxels, K) closed-form ones, likewise.
        derivatives: (voxels, parameters, K) of the signal.

    Returns:
        The factor (voxels,); the residual (voxels, 2K); the derivatives (voxels, parameters, 2K) without their part
        along the signal, which a change of the free factor would make as well.

    """
    power = torch.view_as_real(signal).square().sum((-2, -1)).clamp_min(1e-30)
    rho = (signal.conj() * y).sum(-1) / power
    residual = torch.view_as_real(y - rho[:, None] * signal).flatten(1)
    along = (derivatives @ signal.conj()[..., None]) / power[:, None, None]
    tangents = rho[:, None, None] * (derivatives - along * signal[:, None])
    return rho, residual, torch.view_as_real(tangents).flatten(2)
