"""The values that maps can show: those of the grid that is searched."""

from collections.abc import Collection, Mapping

from spokestream.pipelines.acceptance.layouts.layout import Vial
from spokestream.simulator.physics.dictionaries.water_fat import Grid
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.physics.tissue_models.registry import model_of_maps
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = ["expected_values", "reach", "shown_values"]


def reach(maps: Collection[str]) -> dict[str, tuple[float, float]]:
    """Name of a map -> the smallest and the largest value that its tissue model can have.

    Networks are trained on the values of the same grid.

    Raises InputError for maps of no tissue model.
    """
    model, grid = model_of_maps(maps), Grid()
    ranges = {parameter.name: (parameter.low, parameter.high) for parameter in model.parameters}
    if model is WATER_FAT:
        axes = {"t1h2o": grid.t1h2o_ms, "t1fat": grid.t1fat_ms, "deltaf": grid.deltaf_hz, "b1": grid.b1}
        ranges |= {name: (float(axis.min()), float(axis.max())) for name, axis in axes.items()}
    return {name: ranges[name] for name in ranges if name in maps}


def shown_values(vial: Vial, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The reference values of a vial that the maps can show; none if one of them lies outside the reach of its map.

    The signal of such a vial is that of no tissue of the model, so that all its maps have no meaning.
    """
    meant = _meant(vial, ranges)
    return meant if all(low <= meant[name] <= high for name, (low, high) in ranges.items() if name in meant) else {}


def expected_values(vial: Vial, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The values by which a vial is recognised: its reference values.

    A value outside the reach of its map is taken at the end of the range, where the search finds it; then the other
    maps of the vial are left out.
    """
    meant = _meant(vial, ranges)
    ends = {name: min(max(value, ranges[name][0]), ranges[name][1]) for name, value in meant.items()}
    outside = {name: ends[name] for name in meant if ends[name] != meant[name]}
    return outside or meant


def _meant(vial: Vial, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The reference values without those that have no meaning beside the others, such as water T1 in fat."""
    reference = {name: value for name, value in vial.reference.items() if name in ranges}
    return {
        name: value
        for name, value in reference.items()
        if (where := QUANTITIES[name].where) is None or where.quantity not in reference or where.mask(reference)
    }
