"""Discs in the tissue of a slice, at random places."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.phantom import Phantom

__all__ = ["depths_mm"]


def depths_mm(
    phantom: Phantom, rng: np.random.Generator, number: int, radius_mm: tuple[float, float], most_ff: float
) -> Iterator[NDArray[np.float32]]:
    """The depth (y, x) of every pixel below the rim of each disc in mm; it is negative outside the disc.

    Args:
        phantom: the slice.
        rng: random numbers of the slice.
        number: number of discs; there are none if no pixel can be a centre.
        radius_mm: smallest and largest radius, between which each disc draws its own.
        most_ff: largest fat fraction at the centre of a disc, which lies in a pixel of a single tissue.

    """
    centres = np.argwhere((phantom.pd > 0.5) & (phantom.ff < most_ff) & (phantom.purity == 1))
    rows, columns = np.indices(phantom.pd.shape, np.float32)
    pixel_mm = phantom.fov_mm / phantom.pd.shape[1]
    for _ in range(number if len(centres) else 0):
        y, x = centres[rng.integers(len(centres))]
        yield np.asarray(rng.uniform(*radius_mm) - pixel_mm * np.hypot(rows - y, columns - x), np.float32)
