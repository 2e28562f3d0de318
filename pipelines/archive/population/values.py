"""The values of the maps of one scan: median and quartiles of every quantity over tissue, and over labelled regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spokestream.pipelines.archive.population.labels import Labels
from spokestream.pipelines.files.outputs import ScanMaps
from spokestream.simulator.physics.tissue_models.registry import model_of_maps

__all__ = ["TISSUE", "RegionValues", "quartiles", "region_values"]

TISSUE = "tissue"
"""The region of all voxels in which a map has a meaning."""


@dataclass(frozen=True)
class RegionValues:
    """Median and quartiles of one quantity over one region, in the unit of the quantity."""

    quantity: str
    region: str
    voxels: int
    lower: float
    """A quarter of the voxels have smaller values."""
    median: float
    upper: float
    """A quarter of the voxels have larger values."""


def region_values(maps: ScanMaps, labels: Labels | None) -> list[RegionValues]:
    """The values of every parameter of the tissue model, over tissue first, then over every labelled region.

    Only voxels are used in which the map has a meaning; a region without such voxels has no row.
    """
    rows = []
    for parameter in model_of_maps(maps.volumes).parameters:
        if parameter.name not in maps.volumes:
            continue
        valid = maps.valid[parameter.name]
        masks: dict[str, NDArray[np.bool_]] = {TISSUE: valid}
        if labels:
            masks |= {name: valid & (labels.numbers == number) for number, name in labels.names.items()}
        for region, mask in masks.items():
            if mask.any():
                rows.append(
                    RegionValues(
                        parameter.name, region, int(mask.sum()), *quartiles(maps.volumes[parameter.name][mask])
                    )
                )
    return rows


def quartiles(values: ArrayLike) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile of one or more values, in double precision."""
    lower, median, upper = map(float, np.percentile(np.asarray(values, np.float64), [25, 50, 75]))
    return lower, median, upper
