"""The acceptance test: the arrays of a phantom are found in the slices of a scan, and their vials are measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError, ScanError
from spokestream.pipelines.acceptance.layouts.layout import Layout
from spokestream.pipelines.acceptance.measuring import Row, check_pixels, measure
from spokestream.pipelines.acceptance.placement.finding import FEWEST_VIALS, Found, find
from spokestream.pipelines.acceptance.placement.pose import PixelGrid, centres_mm
from spokestream.pipelines.acceptance.reach import expected_values, reach
from spokestream.pipelines.files.outputs import ScanMaps
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["FOUND", "MEASURED", "MeasuredLayout", "accept_maps"]

MEASURED = {"denoise": "off"}
"""Settings of the maps of a phantom: it is measured, and not moved to how tissue looks."""

FOUND = 0.5
"""Least likeness of a phantom that is found. In simulated scans it was 0.90 to 1.00 with the right array, and 0.06 to
0.33 with another phantom, a thigh or a brain."""
CLEAR = 0.05
"""Least difference of the likeness to that of the next pose, which puts vials in other places, and to that of another
array. These differences were 0.17 to 0.82, and 0.15 to 0.42."""


@dataclass(frozen=True, eq=False)
class MeasuredLayout:
    """One plane of the phantom, found in one slice and measured."""

    layout: Layout
    slice: int
    """Index of the slice."""
    found: Found
    centres_mm: NDArray[np.float64]
    """(vials, 2), places of the vials in the slice; see `PixelGrid`."""
    grid: PixelGrid
    rows: tuple[Row, ...]

    def with_rows(self, rows: Sequence[Row]) -> "MeasuredLayout":
        """The same plane with other rows, for instance with their baseline."""
        return replace(self, rows=tuple(rows))


def accept_maps(maps: ScanMaps, layouts: Sequence[Layout], field_t: float) -> list[MeasuredLayout]:
    """Find each layout in the slice that shows it best, and measure its vials.

    Layouts that no slice shows are left out.

    Args:
        maps: the maps of the scan.
        layouts: the planes of the phantom.
        field_t: the main field, in tesla.

    Raises InputError if the reference values are those of other maps or of another field, and ScanError if pixels are
    too large for the vials, if no layout is found, if it can lie in two ways, or if it looks like another.

    """
    for layout in layouts:
        _check_field(layout, field_t)
    ranges = reach(maps.volumes)
    expected = {layout.title: [expected_values(vial, ranges) for vial in layout.vials] for layout in layouts}
    _check_references(layouts, expected, ranges)
    for layout in layouts:
        check_pixels(layout, _grids(maps)[0])
    if not any(mask.any() for mask in maps.valid.values()):
        raise ScanError("The maps are empty: no phantom gives signal in this scan.")
    best: dict[str, tuple[int, Found]] = {}
    highest, unclear = 0.0, ""
    for index, grid in enumerate(_grids(maps)):
        values = {name: maps.volumes[name][index] for name in ranges}
        valid = {name: maps.valid[name][index] for name in ranges}
        candidates = [
            (found, layout)
            for layout in layouts
            if (found := find(values, valid, layout.vials, expected[layout.title], grid)) is not None
        ]
        if not candidates:
            continue
        candidates.sort(key=lambda one: -one[0].likeness)
        found, layout = candidates[0]
        highest = max(highest, found.likeness)
        if len(candidates) > 1 and found.likeness - candidates[1][0].likeness < CLEAR:
            unclear = (
                unclear or f"Slice {index + 1} can be {layout.title} or {candidates[1][1].title}, which look alike."
            )
        elif found.likeness >= FOUND and (layout.title not in best or found.likeness > best[layout.title][1].likeness):
            best[layout.title] = index, found
    if not best and highest >= FOUND:
        raise ScanError(unclear)
    if not best:
        n_slices = len(next(iter(maps.volumes.values())))
        where = "the slice" if n_slices == 1 else f"the {n_slices} slices"
        titles = " or ".join(layout.title for layout in layouts)
        raise ScanError(
            f"The phantom was not found in {where}: the likeness of {titles} is {highest:.2f} where it is best, and "
            f"{FOUND:g} is needed; is it another phantom, or does the slice not cut through the vials?"
        )
    return [_measured(maps, layout, *best[layout.title], ranges) for layout in layouts if layout.title in best]


def _measured(
    maps: ScanMaps, layout: Layout, index: int, found: Found, ranges: dict[str, tuple[float, float]]
) -> MeasuredLayout:
    if found.likeness - found.rival < CLEAR:
        raise ScanError(
            f"The vials of {layout.title} can lie in two ways in slice {index + 1} (likeness {found.likeness:.2f} and "
            f"{found.rival:.2f}); their reference values do not say which vial is which."
        )
    grid = _grids(maps)[index]
    centres = found.pose.place(centres_mm(layout.vials))
    values = {name: maps.volumes[name][index] for name in ranges}
    valid = {name: maps.valid[name][index] for name in ranges}
    rows = measure(values, valid, layout, centres, grid, ranges)
    return MeasuredLayout(layout, index, found, centres, grid, tuple(rows))


def _grids(maps: ScanMaps) -> list[PixelGrid]:
    """The pixels of every slice."""
    images = next(iter(maps.images.values()))
    grids = []
    for image in images:
        rows, columns = image.data.shape[-2:]
        width, height, _ = np.array(image.field_of_view) / np.array(image.matrix_size)
        grids.append(PixelGrid(rows, columns, (float(height), float(width))))
    return grids


def _check_field(layout: Layout, field_t: float) -> None:
    if layout.field_t and not layout.field_t[0] <= field_t <= layout.field_t[1]:
        low, high = layout.field_t
        raise InputError(
            f"The reference values of {layout.title} hold from {low:g} to {high:g} T, and this scan was made at "
            f"{field_t:.3g} T; give a file of vials with the values at this field."
        )


def _check_references(
    layouts: Sequence[Layout], expected: dict[str, list[dict[str, float]]], ranges: dict[str, tuple[float, float]]
) -> None:
    """Raise InputError unless every layout has vials with different values of one of these maps."""
    for layout in layouts:
        counts = {name: sum(name in values for values in expected[layout.title]) for name in ranges}
        kinds = {name: len({values.get(name) for values in expected[layout.title]} - {None}) for name in ranges}
        if not any(counts.values()):
            given = sorted({name for vial in layout.vials for name in vial.reference})
            raise InputError(
                f"The scan has maps of {', '.join(ranges)}, and {layout.title} has reference values of "
                f"{', '.join(given) or 'nothing'}; scan a sequence for these, or give a file of vials."
            )
        if not any(counts[name] >= FEWEST_VIALS and kinds[name] > 1 for name in ranges):
            symbols = ", ".join(QUANTITIES[name].symbol or name for name in ranges)
            raise InputError(
                f"{layout.title} cannot be found in maps of {symbols}: at least {FEWEST_VIALS} vials need a reference "
                "value of one of them, and these must differ."
            )
