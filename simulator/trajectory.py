"""Golden-angle radial spokes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GOLDEN_ANGLE_DEG", "golden_angles", "radial_spokes"]

GOLDEN_ANGLE_DEG = 180 * (np.sqrt(5) - 1) / 2
"""111.246117975°, Winkelmann et al. 2007."""


def golden_angles(index: ArrayLike) -> NDArray[np.float64]:
    """Angle of the spokes with these places in the train, radians."""
    return np.asarray(np.deg2rad(GOLDEN_ANGLE_DEG) * np.asarray(index))


def radial_spokes(angle: ArrayLike, n_samples: int, center_sample: float, oversampling: float) -> NDArray[np.float64]:
    """Sample positions of full spokes: (*angles, samples, 2), kx and ky in cycles per field of view.

    Samples are 1/oversampling cycles apart; sample `center_sample` lies at k = 0.
    """
    radius = (np.arange(n_samples) - center_sample) / oversampling
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(radius[:, None] * direction[..., None, :])
