"""Spokes that delayed gradients have moved: their places, and the area of k-space that their samples represent."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["moved", "shift_matrix"]

Real = NDArray[np.float64]


def shift_matrix(samples: Real, fov_ratio: float) -> Real:
    """S (2, 2) for steps in cycles per field of view, which differ along x and y by the ratio of the fields of view."""
    xx, yy, xy = samples
    return np.array([[xx, xy / fov_ratio], [xy * fov_ratio, yy]])


def moved(
    k: NDArray[np.float32], samples: Real, fov_ratio: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The places of spokes if the gradients have these delays, and the radii that their density is proportional to.

    Spokes with unequal delays do not cross at k = 0. Let r be the place along a spoke without delays, in the direction
    u, and n the direction across. Neighbouring spokes cross at r = b = n S n, and the area that a sample represents is
    proportional to |r - b|. The place closest to k = 0 is r = a = u S u, at the distance q = n S u. Between a and b,
    spokes cover k-space once more in the opposite direction, so that the area counts as negative there. At a, the area
    q² / 2 on each side makes up for the middle, which no spoke covers. With these terms the areas in a circle around
    k = 0 add up to that of the circle.

    Args:
        k: (spokes, samples, 2) places without delays, in cycles per field of view, evenly spaced along each spoke.
        samples: (3,) delays of x and y, and their coupling, as in `DelayEstimate`.
        fov_ratio: the field of view along y over that along x.

    Returns:
        k (spokes, samples, 2), and the radii (spokes, samples), both in cycles per field of view.

    """
    n_samples = k.shape[1]
    step = (k[:, -1] - k[:, 0]).astype(np.float64) / (n_samples - 1)
    places = k - (step @ shift_matrix(samples, fov_ratio).T)[:, None].astype(np.float32)
    per_x = np.array([1.0, fov_ratio])
    length = np.hypot(*(step / per_x).T)
    u = step / per_x / length[:, None]
    n = np.stack([-u[:, 1], u[:, 0]], axis=1)
    s = shift_matrix(samples, 1.0)
    a, b, q = (length * np.sum(x @ s * y, axis=1) for x, y in ((u, u), (n, n), (n, u)))
    first = np.sum(k[:, 0] / per_x * u, axis=1)
    along = np.arange(n_samples, dtype=np.float32) * length[:, None].astype(np.float32)
    radii = np.abs(along + (first - b)[:, None].astype(np.float32))
    # the exact area of the cells around a and b; everywhere else it is the distance from b
    reach = int(np.ceil(np.abs((a - b) / length).max())) + 2
    middle = np.clip(np.rint((a - first) / length).astype(int), reach, n_samples - 1 - reach)
    near = middle[:, None] + np.arange(-reach, reach + 1)
    edges = first[:, None] + (middle[:, None] + np.arange(-reach, reach + 2) - 0.5) * length[:, None]
    a, b, q, half = a[:, None], b[:, None], q[:, None], length[:, None] / 2
    area = np.sign(edges - a) * ((edges - b) ** 2 - (a - b) ** 2) / 2
    area += np.clip((edges - a) / half, -1, 1) * q**2 / 2
    radii[np.arange(len(k))[:, None], near] = np.diff(area, axis=1) / length[:, None]
    return places, radii * (np.hypot(*step.T) / length)[:, None].astype(np.float32)
