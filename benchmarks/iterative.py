"""Iterative and consistent images against the adjoint, on simulated scans: python benchmarks/iterative.py [--quick].

The errors of matching, and the seconds from the last spoke to the last map.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import print_machine, timed_maps
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.pipelines.files.tissue_errors import tissue_errors
from spokestream.pipelines.files.truth import Truth, map_errors, read_truth
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

TISSUES = ("muscle", "white matter", "grey matter")
IMAGES = {"thigh": ("adjoint", "iterative", "consistent"), "brain": ("adjoint", "iterative")}


def scans(quick: bool) -> list[SimulationSettings]:
    brains = ["fisp-song-200"] if quick else ["fisp-fang-576", "fisp-fang-2304"]
    thigh = SimulationSettings(matrix=48, coils=2) if quick else SimulationSettings()
    matrix, coils = (48, 2) if quick else (256, 12)
    return [
        thigh,
        *(SimulationSettings(anatomy="brain", matrix=matrix, coils=coils, sequence=sequence) for sequence in brains),
    ]


def errors(maps: dict[str, NDArray[np.float32]], truth: Truth) -> dict[tuple[str, str], tuple[float, float]]:
    """Map and tissue -> bias and root-mean-square error; of brains in voxels of one tissue only."""
    if "ff" in maps:
        rows = [row for row in map_errors(maps, truth) if row.voxels]
    else:
        rows = [row for row in tissue_errors(maps, truth) if row.pure]
    return {(row.name, row.tissue): (row.bias, row.rmse) for row in rows if row.tissue in TISSUES}


def compare(settings: SimulationSettings, threads: int) -> Table:
    table = Table(
        title=f"{settings.anatomy}, {settings.sequence}, {settings.protocol().matrix} pixels, {settings.coils} coils"
    )
    table.add_column("bias / RMSE")
    found, seconds, ways = {}, {}, IMAGES[settings.anatomy]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        simulate_scan(path, settings)
        truth = read_truth(truth_path(path))
        for images in ways:
            maps, seconds[images] = timed_maps(path, images=images, threads=threads, device="cpu")
            found[images] = errors(maps, truth)
            table.add_column(images, justify="right")
    for name, tissue in found[ways[0]]:
        digits = QUANTITIES[name].digits
        cells = [f"{found[i][name, tissue][0]:+{digits}} / {found[i][name, tissue][1]:{digits}}" for i in ways]
        table.add_row(f"{QUANTITIES[name].label}, {tissue}", *cells)
    table.add_row("last spoke to last map, s", *(f"{seconds[i]:.2f}" for i in ways))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small scans, to test that it runs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    for settings in scans(arguments.quick):
        console.print(compare(settings, arguments.threads))


if __name__ == "__main__":
    main()
