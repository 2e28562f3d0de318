"""Maps against the truth of a simulated scan: numbers for the console, a figure for the eye."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from spokestream.errors import FileError
from spokestream.pipelines.files.figures import comparison_figure, shown_foreground
from spokestream.simulator.physics.quantities import MAP_KINDS

__all__ = ["Deviation", "Truth", "compare", "deviation_table", "read_truth", "write_comparison"]

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

FATTY = 0.7
"""Fat fraction from which a voxel counts as fat, and its water T1 no longer means anything."""
SOME_FAT = 0.3
"""Fat fraction above which the fat's T1 means something."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The true maps of a simulated scan, (slices, y, x) each."""

    maps: dict[str, Volume]
    tissue: Mask
    bone: Mask


@dataclass(frozen=True)
class Deviation:
    """How far one map is from the truth in one tissue; NaN where no voxel is judged."""

    name: str
    unit: str
    tissue: str
    bias: float
    rmse: float
    voxels: int


def read_truth(path: str | Path) -> Truth:
    """The truth beside a simulated scan. Raises FileError when the file is missing or no truth file."""
    try:
        with h5py.File(path) as file:
            label = file["label"][()]
            names = json.loads(file["label"].attrs["names"])
            maps = {name: file[name][()] for name in MAP_KINDS if name in file}
    except (OSError, KeyError, ValueError) as error:
        raise FileError(f"{path} is not the truth of a simulated scan ({error}).") from None
    bony = [i for i, name in enumerate(names) if "bone" in name]
    return Truth(maps, label > 0, np.isin(label, bony))


def compare(maps: Mapping[str, Volume], truth: Truth) -> list[Deviation]:
    """Bias and RMSE of every map in muscle and in fat, over voxels that both reconstruction and truth show.

    Muscle is tissue outside bone with fat fraction below 0.7 and proton density above 0.3. Proton density itself is
    not judged: it carries the coils' shading and a scale of its own.

    Raises ValueError when maps and truth differ in shape.
    """
    judged = judged_voxels(maps, truth)
    muscle = ~truth.bone & (truth.maps["ff"] < FATTY) & (truth.maps["pd"] > 0.3)
    rows = []
    for name, mask in judged.items():
        for tissue, region in (("muscle", muscle), ("fat", truth.maps["ff"] >= FATTY)):
            error = (maps[name] - truth.maps[name])[mask & region].astype(np.float64)
            bias, rmse = (float(np.mean(error)), float(np.sqrt(np.mean(error**2)))) if error.size else (np.nan, np.nan)
            rows.append(Deviation(name, MAP_KINDS[name].unit, tissue, bias, rmse, error.size))
    return rows


def judged_voxels(maps: Mapping[str, Volume], truth: Truth) -> dict[str, Mask]:
    """Map name -> (slices, y, x): where the map means something and both sides show tissue."""
    shapes = {volume.shape for volume in (*maps.values(), *truth.maps.values())}
    if len(shapes) != 1:
        raise ValueError(f"maps and truth differ in shape: {sorted(shapes)}.")
    both = shown_foreground(maps) & truth.tissue
    ff = truth.maps["ff"]
    meaningful = {"t1h2o": ff < FATTY, "t1fat": ff > SOME_FAT}
    names = [name for name in MAP_KINDS if name in maps and name in truth.maps and name != "pd"]
    return {name: both & meaningful.get(name, True) for name in names}


def deviation_table(rows: Sequence[Deviation]) -> Table:
    """For the console: one line a map, bias and RMSE in muscle and in fat."""
    table = Table(title="Maps against the truth", title_style="bold", header_style="bold")
    table.add_column("map")
    for tissue in ("muscle", "fat"):
        table.add_column(f"bias, {tissue}", justify="right")
        table.add_column(f"RMSE, {tissue}", justify="right")
    for name in dict.fromkeys(row.name for row in rows):
        kind = MAP_KINDS[name]
        cells = [kind.title if kind.unit == "1" else f"{kind.title} ({kind.unit})"]
        for row in (row for row in rows if row.name == name):
            digits = ".3f" if kind.unit == "1" else ".1f"
            cells += ["–", "–"] if not row.voxels else [f"{row.bias:+{digits}}", f"{row.rmse:{digits}}"]
        table.add_row(*cells)
    return table


def write_comparison(path: Path, maps: Mapping[str, Volume], truth: Truth, pixel_aspect: float = 1.0) -> None:
    """Write a PNG of the middle slice: reconstructed, truth, error."""
    judged = judged_voxels(maps, truth)
    middle = len(truth.tissue) // 2
    comparison_figure(path, maps, truth.maps, judged, middle, pixel_aspect)
