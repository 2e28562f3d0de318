"""Where k-space is sampled: golden-angle spokes and spiral arms, and the raster of an echo-planar image."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GOLDEN_ANGLE_DEG", "epi_raster", "golden_angles", "radial_spokes", "ring_areas", "spiral_arms"]

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

    Samples are 1/oversampling cycles apart along the arm, which ends at the radius matrix/2. An arm with more samples
    is longer and makes more turns. If there are too few samples for a straight line to the end, they are further apart.
    """
    end, length = matrix / 2, max(n_samples - 1, 1) / oversampling
    curl = _curl(length / end)
    fine = np.linspace(0, 1, 20 * n_samples)
    radius = end * np.interp(np.linspace(0, 1, n_samples), _arc_length(fine, curl) / _arc_length(1.0, curl), fine)
    bearing = np.asarray(angle)[..., None] + curl * radius / end
    return np.asarray(radius[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1))


def _arc_length(radius: ArrayLike, curl: float) -> Real:
    """The length of an Archimedean spiral up to a radius, which turns by `curl` radians from radius 0 to radius 1."""
    r = np.asarray(radius, float)
    return (r * np.sqrt(1 + (curl * r) ** 2) + np.arcsinh(curl * r) / curl) / 2


def _curl(length: float) -> float:
    """The angle in radians by which a spiral of radius 1 and this length turns; 0.001 if it is no longer than 1."""
    low, high = 1e-3, 2 * max(length, 1.0)  # the length is at least half the angle
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _arc_length(1.0, middle) < length else (low, middle)
    return low


def epi_raster(matrix: int, samples_per_line: int, oversampling: float) -> Real:
    """The sample positions of one echo-planar image: (matrix * samples_per_line, 2), in cycles per field of view.

    Lines along kx follow each other from -matrix/2 on in steps of 1 along ky, every second one backwards. Samples are
    1/oversampling cycles apart along a line.
    """
    along = (np.arange(samples_per_line) - samples_per_line // 2) / oversampling
    kx = np.where(np.arange(matrix)[:, None] % 2 == 0, along, along[::-1])
    ky = np.broadcast_to((np.arange(matrix) - matrix // 2)[:, None], kx.shape)
    return np.asarray(np.stack([kx, ky], axis=-1).reshape(-1, 2), float)


def ring_areas(radius: Real) -> Real:
    """The area (samples,) of the ring that each sample of an arm represents if many rotations of the arm are measured.

    Rings end midway between neighbouring samples, so that their areas add up to that of the covered disc.

    Args:
        radius: (samples,) distance of the samples from k = 0, ascending or descending.

    """
    order = slice(None) if radius[-1] >= radius[0] else slice(None, None, -1)
    r = radius[order]
    ends = max(0.0, (3 * r[0] - r[1]) / 2), (3 * r[-1] - r[-2]) / 2
    edges = np.concatenate([ends[:1], (r[1:] + r[:-1]) / 2, ends[1:]])
    return np.asarray(np.pi * np.diff(edges**2))[order]
