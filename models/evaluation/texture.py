"""Kept texture: which fraction of the structure within a tissue a method's map shows, by spatial frequency."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from spokestream.gadgets.messages import Mask
from spokestream.simulator.phantoms.changes.texture import BAND_FF, BAND_T1_FAT_MS, BAND_T1_WATER_MS
from spokestream.simulator.physics.quantities import Where

__all__ = ["SMOOTHINGS", "TEXTURED", "KeptTexture", "band_names"]

SMOOTHINGS = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Standard deviations of the Gaussian smoothings in pixels; a band is the difference of two that follow each other. The
finest band is the difference of the map and the first smoothing."""
TEXTURED: Mapping[str, tuple[Where, bool, float]] = {
    "t1h2o": (Where("ff", below=0.3), True, BAND_T1_WATER_MS),
    "ff": (Where("ff", below=0.3), True, BAND_FF),
    "t1fat": (Where("ff", above=0.7), False, BAND_T1_FAT_MS),
}
"""Map -> where its texture is compared, whether in muscle only, and the standard deviation of a band in patients."""
LEAST = 0.25
"""A band counts if the truth has at least this fraction of the standard deviation in patients; below it, the comparison
would show noise and edges instead of texture."""


def band_names() -> list[str]:
    """The bands from fine to coarse, as ranges of the smoothing in pixels."""
    return [f"{low:g} to {high:g}" for low, high in zip((0.0, *SMOOTHINGS[:-1]), SMOOTHINGS, strict=True)]


class KeptTexture:
    """Collects the products of found and true values in every band.

    Args:
        usual: standard deviation of a band in patients, in the map's unit.

    """

    def __init__(self, usual: float) -> None:
        self._usual, self._n = usual, 0
        self._products = np.zeros((3, len(SMOOTHINGS)))

    def add(self, found: NDArray[np.floating], true: NDArray[np.floating], mask: Mask) -> None:
        """Add one slice, (y, x) each; the pixels at the border of the mask, where tissues mix, are left out."""
        inside = binary_erosion(mask) & np.isfinite(found)
        if not inside.any():
            return
        x, y = _bands(found, inside), _bands(true, inside)
        self._n += int(inside.sum())
        self._products += [(x * y).sum(1), (x * x).sum(1), (y * y).sum(1)]

    def result(self) -> list[dict[str, Any]]:
        """One entry for each band, from fine to coarse.

        `true` is the standard deviation of the truth, in the map's unit. `kept` is the coefficient of the regression of
        found on true values: 1 shows all texture, 0 none; noise does not change its mean. `correlation` is less than 1
        where noise is added as well. Both are NaN where the truth has no texture.
        """
        entries = []
        for name, (xy, xx, yy) in zip(band_names(), self._products.T, strict=True):
            true = float(np.sqrt(yy / self._n)) if self._n else 0.0
            textured = true >= LEAST * self._usual
            kept = float(xy / yy) if textured else float("nan")
            correlation = float(xy / np.sqrt(xx * yy)) if textured and xx else float("nan")
            entries.append({"band": name, "true": true, "kept": kept, "correlation": correlation})
        return entries


def _bands(values: NDArray[np.floating], inside: Mask) -> NDArray[np.float64]:
    """The bands (bands, pixels) of the pixels inside; smoothing averages over pixels inside alone."""
    weight = inside.astype(np.float64)
    known = np.where(inside, values, 0).astype(np.float64)
    smooth = [known[inside]] + [
        gaussian_filter(known, s, mode="constant")[inside] / gaussian_filter(weight, s, mode="constant")[inside]
        for s in SMOOTHINGS
    ]
    return -np.diff(np.stack(smooth), axis=0)
