"""Comparison of maps with the truth of a simulated scan: errors, a table of them, and a figure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from spokestream.errors import FileError, InputError
from spokestream.pipelines.files.figures import comparison_figure
from spokestream.pipelines.files.plane import UNKNOWN_PLANE, Plane
from spokestream.pipelines.files.validity import valid_voxels
from spokestream.simulator.physics.quantities import QUANTITIES, masked
from spokestream.simulator.physics.tissue_models.registry import model_of_maps

__all__ = ["MapError", "Truth", "choices_table", "error_table", "map_errors", "read_truth", "write_comparison"]

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

SOFT_TISSUE_PD = 0.3
"""Smallest proton density of soft tissue; cortical bone and partial volume with air have less."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The true maps of a simulated scan and its tissues, (slices, y, x) each.

    A map is the mean over a voxel, weighted by the proton density of the pool; NaN where a voxel has no such value. The
    label is the tissue at the centre of the voxel, and the purity is the fraction of the voxel that this tissue takes
    up.
    """

    maps: dict[str, Volume]
    label: NDArray[np.uint8]
    names: tuple[str, ...]
    """Names of the labels; label 0 is air."""
    purity: Volume

    @property
    def tissue(self) -> Mask:
        """The voxels with tissue at their centre."""
        return self.label > 0

    @property
    def bone(self) -> Mask:
        """The voxels with bone at their centre."""
        return np.isin(self.label, [i for i, name in enumerate(self.names) if "bone" in name])


@dataclass(frozen=True)
class MapError:
    """Bias and root mean square error of one map in one tissue; NaN if no voxel is judged."""

    name: str
    unit: str
    tissue: str
    bias: float
    rmse: float
    voxels: int


def read_truth(path: str | Path) -> Truth:
    """Read the truth that belongs to a simulated scan. Raises FileError if the file is missing or no truth file."""
    try:
        with h5py.File(path) as file:
            label = file["label"][()]
            names = tuple(json.loads(file["label"].attrs["names"]))
            # earlier versions wrote no purity; then no voxel is known to be pure
            purity = file["purity"][()] if "purity" in file else np.zeros(label.shape, np.float32)
            maps = {name: file[name][()] for name in QUANTITIES if name in file}
    except (OSError, KeyError, ValueError) as error:
        raise FileError(f"{path} is not the truth of a simulated scan ({error}).") from None
    # T1 and T2 of a voxel are those of its water; where there is fat, it has more than one of each
    of_water = {"t1": "t1h2o", "t2": "t2h2o"}
    maps |= {
        name: np.where(maps["ff"] > 0, np.float32(np.nan), maps[water])
        for name, water in of_water.items()
        if water in maps
    }
    return Truth(maps, label, names, purity)


def map_errors(maps: Mapping[str, Volume], truth: Truth) -> list[MapError]:
    """Bias and RMSE of every parameter in every region of its tissue model.

    Only voxels are used in which both the map and its truth have a meaning. Regions of soft tissue contain no bone and
    no voxels of low proton density. Proton density itself is not compared, because its map contains the shading of the
    coils and has an arbitrary scale.

    Raises InputError if maps and truth have different shapes.
    """
    judged = judged_voxels(maps, truth)
    soft = ~truth.bone & (truth.maps["pd"] > SOFT_TISSUE_PD)
    rows = []
    for name, mask in judged.items():
        for region in model_of_maps(maps).regions:
            voxels = mask & region.where.mask(truth.maps) & (soft if region.soft_tissue else True)
            error = (maps[name] - truth.maps[name])[voxels].astype(np.float64)
            bias, rmse = (float(np.mean(error)), float(np.sqrt(np.mean(error**2)))) if error.size else (np.nan, np.nan)
            rows.append(MapError(name, QUANTITIES[name].unit, region.name, bias, rmse, error.size))
    return rows


def judged_voxels(maps: Mapping[str, Volume], truth: Truth) -> dict[str, Mask]:
    """Parameter -> mask (slices, y, x) where both its map and its truth have a meaning."""
    shapes = {volume.shape for volume in (*maps.values(), *truth.maps.values())}
    if len(shapes) != 1:
        raise InputError(f"Maps and truth differ in shape: {sorted(shapes)}.")
    valid = valid_voxels(maps)
    return {
        parameter.name: valid[parameter.name]
        & masked(parameter.quantity.where, truth.tissue, truth.maps)
        & np.isfinite(truth.maps[parameter.name])
        for parameter in model_of_maps(maps).parameters
        if parameter.name in maps and parameter.name in truth.maps
    }


def error_table(rows: Sequence[MapError]) -> Table:
    """A table for the console with one row per map: bias and RMSE in every region."""
    table = Table(title="Maps against the truth", title_style="bold", header_style="bold")
    table.add_column("map")
    for tissue in dict.fromkeys(row.tissue for row in rows):
        table.add_column(f"bias, {tissue}", justify="right")
        table.add_column(f"RMSE, {tissue}", justify="right")
    for name in dict.fromkeys(row.name for row in rows):
        quantity = QUANTITIES[name]
        cells = [quantity.label]
        for row in (row for row in rows if row.name == name):
            digits = quantity.digits
            cells += ["–", "–"] if not row.voxels else [f"{row.bias:+{digits}}", f"{row.rmse:{digits}}"]
        table.add_row(*cells)
    return table


def choices_table(errors: Mapping[str, Sequence[MapError]]) -> Table:
    """A table for the console with the RMSE of several reconstructions of a scan: one row per map and region.

    Args:
        errors: the name of a reconstruction -> its errors, of the same maps and regions.

    """
    table = Table(title="RMSE of other reconstructions of the scan", title_style="bold", header_style="bold")
    table.padding = (0, 1, 0, 0)  # whole words on a console of 80 characters
    table.add_column("map", min_width=len("off-resonance"))
    for name in errors:
        table.add_column(name, justify="right", width=max(map(len, name.split())))
    for rows in zip(*errors.values(), strict=True):
        if rows[0].voxels:
            quantity = QUANTITIES[rows[0].name]
            table.add_row(f"{quantity.label}, {rows[0].tissue}", *(f"{row.rmse:{quantity.digits}}" for row in rows))
    return table


def write_comparison(path: Path, maps: Mapping[str, Volume], truth: Truth, plane: Plane = UNKNOWN_PLANE) -> None:
    """Write a PNG of the middle slice: the reconstructed maps, the truth, and the errors."""
    judged = judged_voxels(maps, truth)
    middle = len(truth.tissue) // 2
    comparison_figure(path, maps, truth.maps, judged, middle, plane)
