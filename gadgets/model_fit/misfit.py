"""The misfit of parameters to a measured fingerprint: the part of the residual that other parameters would explain.

The norm of the residual is no good measure: with eight spokes, aliasing is so strong that it hides a wrong T1. The
projection of the residual onto the derivatives of the fingerprint is a good measure. If the parameters are right, this
part consists of noise and aliasing, and has as much energy per dimension as the rest of the residual. If they are
wrong, it has more.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.model_fit.neighbourhoods import neighbourhood_mean
from spokestream.gadgets.model_fit.own_fit import Equations

__all__ = ["misfit"]


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
