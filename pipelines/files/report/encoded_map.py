"""A map as text inside a page: whole steps, compressed; the browser gets exactly the values of the map's images."""

import base64
import zlib
from dataclasses import dataclass

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.quantities import Quantity

__all__ = ["EncodedMap", "encode"]

MOST_LEVELS = 2**16 - 2
"""The largest level above the lowest one; one number of 16 bits is left for voxels that are not valid."""


@dataclass(frozen=True)
class EncodedMap:
    """The value of a voxel is `offset + slope * (lowest + level - 1)`; level 0 marks a voxel that is not valid."""

    slope: float
    offset: float
    lowest: int
    slices: list[str]
    """Base64 of the zlib stream of every slice: the low bytes of all levels, row by row, then all high bytes."""


def encode(quantity: Quantity, images: list[ismrmrd.Image], values: NDArray[np.float32]) -> EncodedMap:
    """Encode the map of a quantity.

    Images of whole numbers keep their step and are exact. Maps of floating-point numbers are rounded to the declared
    step of their quantity, which is finer than maps are precise. The step is larger if values need more than 16 bits.

    Args:
        quantity: the declaration.
        images: the images of all slices.
        values: (slices, y, x) in the unit of the quantity, NaN where the map is not valid.

    """
    valid = np.isfinite(values)
    exact = values.astype(np.float64)
    low, high = (float(exact[valid].min()), float(exact[valid].max())) if valid.any() else (0.0, 0.0)
    slope, offset = _step(quantity, images)
    if (high - low) / slope > MOST_LEVELS - 1:
        slope, offset = (high - low) / (MOST_LEVELS - 1), low
    lowest = round((low - offset) / slope)
    levels = np.zeros(values.shape, np.uint16)
    levels[valid] = np.rint((exact[valid] - offset) / slope) - lowest + 1
    return EncodedMap(slope, offset, lowest, [_text(one) for one in levels])


def _step(quantity: Quantity, images: list[ismrmrd.Image]) -> tuple[float, float]:
    """Slope and offset of the stored numbers; for floating-point numbers those of the declaration."""
    stored = {(float(image.meta["RescaleSlope"]), float(image.meta["RescaleIntercept"])) for image in images}
    if len(stored) == 1 and images[0].data.dtype.kind in "iu":
        return stored.pop()
    if quantity.slope is not None:
        return quantity.slope, quantity.offset
    largest = max(float(np.abs(image.data).max()) * float(image.meta["RescaleSlope"]) for image in images)
    return (largest / MOST_LEVELS if largest > 0 else 1.0), 0.0


def _text(levels: NDArray[np.uint16]) -> str:
    planes = np.stack([levels & 0xFF, levels >> 8]).astype(np.uint8)
    return base64.b64encode(zlib.compress(planes.tobytes())).decode()
