"""The density of samples that lie on no straight spokes: the area of k-space that each of them represents.

A raster has equal cells. If the radius of an arm grows from sample to sample, many rotations of the arm sample rings,
whose areas are known. For all other shapes, the weights are found by iteration: divided by the density that they give,
until this is 1 everywhere (Pipe and Menon, Magn Reson Med 1999;41:179). The density is the convolution of the weights
with the kernel of Johnson and Pipe (Magn Reson Med 2009;61:439): its image is that of a disc convolved with itself, and
vanishes one field of view away from the centre, so that aliases of the field of view do not count.
"""

import finufft
import numpy as np
from numpy.typing import NDArray
from scipy.special import j0

from spokestream.simulator.physics.trajectory import ring_areas

__all__ = ["density_of_one_readout", "density_of_rotations", "raster_steps"]

Real = NDArray[np.float64]

ITERATIONS = 6
"""Number of iterations. The weights of a spiral are then within 1 % of the areas of its rings, except next to k = 0 and
at the end of the arm; more iterations only raise the weights of the last samples."""
NUFFT_TOLERANCE = 1e-5
SAME_PLACE = 0.05
"""Distance in cycles per field of view below which coordinates belong to one line of a raster."""
UNEVEN = 0.02
"""Largest relative difference between the steps of a raster."""


def raster_steps(k: Real) -> tuple[float, float] | None:
    """The steps (x, y) of a Cartesian raster in the unit of its coordinates k (samples, 2); None if it is none."""
    steps, numbers = [], []
    for axis in k.T:
        ordered = np.sort(axis)
        first = np.concatenate([[True], np.diff(ordered) > SAME_PLACE])
        lines = ordered[first]
        if len(lines) < 2 or np.ptp(np.diff(lines)) > UNEVEN * np.diff(lines).mean() + 2 * SAME_PLACE * (
            len(lines) < 9
        ):
            return None
        step = (lines[-1] - lines[0]) / (len(lines) - 1)
        steps.append(float(step))
        numbers.append(np.rint((axis - lines[0]) / step).astype(int))
    x, y = numbers
    complete = len(np.unique(y * (x.max() + 1) + x)) == len(k) == (x.max() + 1) * (y.max() + 1)
    return (steps[0], steps[1]) if complete else None


def density_of_rotations(k: Real) -> Real:
    """The area (samples,) that each sample of an arm represents if arms of all directions cover k-space evenly.

    The areas are those of a single arm; if there are n arms, each sample represents 1 / n of it.

    Args:
        k: (samples, 2) in cycles per field of view, equal in both directions.

    """
    radius = np.hypot(*k.T)
    change = np.diff(radius)
    if (change > 0).all() or (change < 0).all():
        return ring_areas(radius)
    # the rotated arms give an image of concentric circles, so that both transforms are Hankel transforms
    nodes, weights = np.polynomial.legendre.leggauss(4 * int(radius.max()) + 32)
    distance, weights = (nodes + 1) / 2, weights / 2
    waves = j0(2 * np.pi * np.outer(radius, distance))
    profile = 2 * np.pi * distance * _disc_with_itself(distance) * weights
    area = np.full(len(k), np.pi * radius.max() ** 2 / len(k))
    for _ in range(ITERATIONS):
        area /= waves @ (profile * (area @ waves))
    return area


def density_of_one_readout(k: Real, matrix: tuple[int, int]) -> Real:
    """The area (samples,) that each sample represents if a single readout covers k-space.

    Args:
        k: (samples, 2) kx, ky in cycles per field of view of each axis.
        matrix: pixels (y, x); samples lie within +-matrix/2.

    """
    shape = tuple(2 * n for n in matrix)
    y, x = (2 * np.pi / n * component for n, component in zip(matrix, k.T[::-1], strict=True))
    options = {"eps": NUFFT_TOLERANCE, "dtype": "complex128", "nthreads": 1}
    to_image, to_samples = finufft.Plan(1, shape, isign=1, **options), finufft.Plan(2, shape, isign=-1, **options)
    for plan in (to_image, to_samples):
        plan.setpts(np.ascontiguousarray(y), np.ascontiguousarray(x))
    down, right = ((np.arange(-n, n) / n) ** 2 for n in matrix)
    profile = _disc_with_itself(np.sqrt(down[:, None] + right)) / (matrix[0] * matrix[1])
    area = np.full(len(k), matrix[0] * matrix[1] / len(k))
    for _ in range(ITERATIONS):
        area /= np.maximum(to_samples.execute(to_image.execute(area.astype(complex)) * profile).real, 1e-3)
    return area


def _disc_with_itself(distance: Real) -> Real:
    """The convolution of a disc of diameter 1 with itself, over its value at 0."""
    r = np.minimum(distance, 1.0)
    return np.asarray(2 / np.pi * (np.arccos(r) - r * np.sqrt(1 - r**2)))
