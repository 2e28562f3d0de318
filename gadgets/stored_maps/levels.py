"""Conversion of physical values to the whole numbers of an image, and back."""

import math
from dataclasses import replace
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, ScanError
from spokestream.gadgets.messages import Float
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.quantities import Quantity

__all__ = ["fit_to_scan", "stored_ceiling", "stored_to_physical", "suits", "to_physical", "to_stored"]

FAINTEST = 64
"""Stored number of the 99th percentile of a slice below which another slope is better: steps are 1.6 % there."""


def stored_ceiling(header: ScanHeader, dtype: np.dtype[Any]) -> int:
    """The largest stored integer: 4095, or more if the header's user parameter `BitsStored` is more than 12.

    Raises ScanError unless `BitsStored` is 12 to 16.
    """
    text = header.user.get("BitsStored", "12")
    try:
        bits = round(float(text))
    except (ValueError, OverflowError):
        bits = 0
    if not 12 <= bits <= 16:
        raise ScanError(f"The header asks for images of {text[:20]} bits; maps need 12 to 16.")
    return min(2**bits - 1, np.iinfo(dtype).max) if dtype.kind in "iu" else 0


def to_stored(values: Float, slope: float, offset: float, ceiling: int) -> tuple[NDArray[np.float64], int]:
    """Whole numbers 0..ceiling for finite physical values, and the number of values that had to be clipped."""
    levels = np.rint((values.astype(np.float64) - offset) / slope)
    clipped = np.clip(levels, 0, ceiling)
    return clipped, int(np.sum(clipped != levels))


def to_physical(stored: NDArray[Any], slope: float, offset: float) -> Float:
    """The physical values of stored numbers."""
    return np.asarray(stored.astype(np.float64) * slope + offset, np.float32)


def stored_to_physical(image: ismrmrd.Image) -> tuple[str, str, Float]:
    """Name, unit and physical values (y, x) of a map, converted according to its metadata.

    Raises FileError if the image is not a map of this software.
    """
    try:
        name, unit = str(image.meta["spokestream_map"]), str(image.meta["spokestream_unit"])
        slope, offset = float(image.meta["RescaleSlope"]), float(image.meta["RescaleIntercept"])
    except (KeyError, TypeError, ValueError):
        raise FileError("the image is not a map of spokestream: its metadata lack name, unit or slope") from None
    if image.data.shape[:2] != (1, 1) or np.iscomplexobj(image.data):
        raise FileError(f"the map '{name[:40]}' is not one real slice")
    return name, unit, to_physical(image.data[0, 0], slope, offset)


def suits(quantity: Quantity, values: NDArray[np.float32], ceiling: int) -> bool:
    """Whether a quantity with a slope stores the values (n,) of a slice: 99 % unclipped, and not in coarse steps."""
    bright = float(np.percentile(values, 99)) if values.size else 0.0
    return not bright or (quantity.slope is not None and FAINTEST <= bright / quantity.slope <= ceiling)


def fit_to_scan(quantity: Quantity, values: NDArray[np.float32]) -> Quantity:
    """Choose slope and window of a quantity without a fixed scale, from (n,) values of a slice.

    The 99th percentile is stored as a number between 512 and 1024, so that steps are 0.2 % or finer, and slices may be
    up to four times as bright. The slope is a power of two, which is exact in any precision.
    """
    bright = float(np.percentile(values, 99)) if values.size else 0.0
    exponent = math.frexp(bright)[1] if bright > 0 else 10
    slope = math.ldexp(1.0, exponent - 10)
    return replace(quantity, slope=slope, high=1024 * slope)
