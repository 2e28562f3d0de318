"""Golden-angle trajectories: radial spokes and spiral arms."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GOLDEN_ANGLE_DEG", "golden_angles", "radial_spokes", "spiral_arms"]

Real = NDArray[np.float64]

GOLDEN_ANGLE_DEG = 180 * (np.sqrt(5) - 1) / 2
"""111.246117975°, Winkelmann et al. 2007."""


def golden_angles(index: ArrayLike) -> Real:
    """The angles, in radians, of the spokes with these numbers in the train."""
    return np.asarray(np.deg2rad(GOLDEN_ANGLE_DEG) * np.asarray(index))


def radial_spokes(angle: ArrayLike, n_samples: int, center_sample: float, oversampling: float) -> Real:
    """The sample positions of full spokes: (*angles, samples, 2), kx and ky in cycles per field of view.

    Samples are 1/oversampling cycles apart; sample `center_sample` is at k = 0.
    """
    radius = (np.arange(n_samples) - center_sample) / oversampling
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(radius[:, None] * direction[..., None, :])


def spiral_arms(angle: ArrayLike, n_samples: int, matrix: int, oversampling: float) -> Real:
    """The sample positions of Archimedean spirals from the centre: (*angles, samples, 2), in cycles per field of view.

    The radius is proportional to the square root of time, so that samples are evenly spaced along the arm and evenly
    distributed over the disc of radius matrix/2. They are 1/oversampling cycles apart at its rim; fewer samples make
    fewer turns of the spiral.
    """
    radius = matrix / 2 * np.sqrt(np.arange(n_samples) / max(n_samples - 1, 1))
    # the length of the arm equals that of its evenly spaced samples: turns * pi * matrix/2 = samples / oversampling
    turns = n_samples / oversampling / (np.pi * matrix / 2)
    along_arm = 2 * np.pi * turns * radius / (matrix / 2)
    bearing = np.asarray(angle)[..., None] + along_arm
    return np.asarray(radius[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1))
