"""What a tissue model leaves unexplained of measured fingerprints, and how the model could change to explain it."""

import torch
from torch import Tensor

__all__ = ["departures"]


def departures(y: Tensor, signal: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a complex factor by least squares, and turn what it leaves, and how the signal may change, to real numbers.

    Args:
        y: (voxels, K) measured coefficients over their noise, complex.
        signal: (voxels, K) closed-form ones, likewise.
        slopes: (voxels, parameters, K) their derivatives.

    Returns:
        The factor (voxels,); what is left (voxels, 2K); the derivatives (voxels, parameters, 2K) without what they
        share with the signal: a common factor is free and no change of shape.

    """
    power = torch.view_as_real(signal).square().sum((-2, -1)).clamp_min(1e-30)
    rho = (signal.conj() * y).sum(-1) / power
    left = torch.view_as_real(y - rho[:, None] * signal).flatten(1)
    along = (slopes @ signal.conj()[..., None]) / power[:, None, None]
    tangents = rho[:, None, None] * (slopes - along * signal[:, None])
    return rho, left, torch.view_as_real(tangents).flatten(2)
