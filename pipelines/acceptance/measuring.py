"""The values of the vials: mean and standard deviation of each map in a circle inside each vial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.pipelines.acceptance.layouts.layout import Layout
from spokestream.pipelines.acceptance.placement.pose import PixelGrid
from spokestream.pipelines.acceptance.reach import shown_values

__all__ = ["Row", "check_pixels", "measure", "region"]

FEWEST_VOXELS = 5
"""Number of voxels for which there must be room inside a vial; fewer give no standard deviation to speak of."""
LEAST_VALID = 0.5
"""Part of the voxels of a vial in which a map must have a meaning; a vial with fewer is taken as absent."""


@dataclass(frozen=True)
class Row:
    """One map in one vial. Values are in the unit of the map."""

    map: str
    vial: str
    number: int
    """Number of the vial in its layout, from 1."""
    reference: float
    mean: float
    """NaN if the map shows no vial in this place."""
    sd: float
    voxels: int
    shown: bool
    """Whether the map can show the reference value; other values are not judged."""
    limit: float | None
    """Largest accepted deviation from the reference; None if it is not judged."""
    baseline: float | None = None
    """The mean when the baseline was measured; None without a baseline."""
    drift_limit: float | None = None
    """Largest accepted change since the baseline; None if it is not judged."""

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, if the errors of the voxels are independent."""
        return self.sd / math.sqrt(self.voxels) if self.voxels else math.nan

    @property
    def deviation(self) -> float:
        """Mean minus reference."""
        return self.mean - self.reference

    @property
    def change(self) -> float | None:
        """Mean minus baseline."""
        return None if self.baseline is None else self.mean - self.baseline

    @property
    def judged(self) -> bool:
        """Whether anything of the row can pass or fail."""
        return self.limit is not None or self.drifts

    @property
    def drifts(self) -> bool:
        """Whether the change since the baseline is judged."""
        return self.change is not None and self.drift_limit is not None

    @property
    def accurate(self) -> bool:
        """Whether the deviation is within its limit, or not judged; a vial that is absent never is."""
        return self.limit is None or abs(self.deviation) <= self.limit

    @property
    def stable(self) -> bool:
        """Whether the change since the baseline is within its limit, or not judged; a vial that is absent never is."""
        change = self.change
        return change is None or self.drift_limit is None or abs(change) <= self.drift_limit

    @property
    def passes(self) -> bool:
        """Whether all that is judged is within its limit."""
        return self.accurate and self.stable


def check_pixels(layout: Layout, grid: PixelGrid) -> None:
    """Raise ScanError if the pixels are too large for the smallest vial."""
    smallest = min(layout.vials, key=lambda vial: vial.radius_mm)
    largest_mm = smallest.radius_mm / (1 + math.sqrt(FEWEST_VOXELS / math.pi))
    if max(grid.pixel_mm) > largest_mm:
        raise ScanError(
            f"{smallest.name[0].upper()}{smallest.name[1:]} is {2 * smallest.radius_mm:g} mm wide, and pixels of "
            f"{max(grid.pixel_mm):.2g} mm leave too few inside it; scan the phantom with pixels of {largest_mm:.1f} mm "
            "or smaller."
        )


def measure(
    maps: Mapping[str, NDArray[np.float32]],
    valid: Mapping[str, NDArray[np.bool_]],
    layout: Layout,
    centres_mm: NDArray[np.float64],
    grid: PixelGrid,
    ranges: Mapping[str, tuple[float, float]],
) -> list[Row]:
    """Measure every map in every vial for which there is a reference value.

    Args:
        maps: name -> (y, x) in the unit of the map.
        valid: name -> (y, x), where the map has a meaning.
        layout: the layout.
        centres_mm: (vials, 2), the places of the vials in the slice.
        grid: the pixels of the slice.
        ranges: name -> the values that the map can show; values of vials outside them are not judged.

    """
    rows = []
    for number, (vial, centre) in enumerate(zip(layout.vials, centres_mm, strict=True), 1):
        inside = region(centre, vial.radius_mm, grid)
        shown = shown_values(vial, ranges)
        for name in (name for name in ranges if name in vial.reference):
            voxels = inside & valid[name]
            values = maps[name][voxels].astype(np.float64)
            if values.size < max(2, LEAST_VALID * np.count_nonzero(inside)):
                mean = sd = math.nan
            else:
                mean, sd = float(values.mean()), float(values.std(ddof=1))
            limit = layout.limits[name].of(shown[name]) if name in shown and name in layout.limits else None
            rows.append(Row(name, vial.name, number, vial.reference[name], mean, sd, values.size, name in shown, limit))
    return rows


def region(centre_mm: Sequence[float] | NDArray[np.float64], radius_mm: float, grid: PixelGrid) -> NDArray[np.bool_]:
    """The voxels (y, x) inside a vial, without a border of one pixel, which blurs into the surroundings."""
    y, x = grid.axes_mm()
    distance = np.hypot(y[:, None] - centre_mm[1], x[None, :] - centre_mm[0])
    return np.asarray(distance <= radius_mm - max(grid.pixel_mm))
