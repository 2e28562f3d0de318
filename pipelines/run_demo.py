"""The demonstration: a simulated scan through the whole reconstruction, its maps against the truth."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.demo import compare, deviation_table, read_truth, write_comparison
from pipelines.files import read_scan
from pipelines.outputs import map_volumes, write_outputs
from pipelines.replay import reconstruct
from simulator.scan_file import truth_path
from simulator.simulate import SimulationSettings, simulate_scan

__all__ = ["run_demo"]


def run_demo(directory: Path, settings: SimulationSettings, parameters: Mapping[str, str], console: Console) -> None:
    """Simulate, reconstruct, compare: leaves `scan.h5`, the maps and `demo.png` in a directory.

    Raises ValueError for impossible settings, ScanError when the scan cannot be reconstructed, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "scan.h5"
    columns = TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        simulate_scan(path, settings, progress)
        task = progress.add_task("Reconstructing", total=None)
        source = read_scan(path)
        images, report = reconstruct(
            source,
            "mrf_t1ff",
            parameters,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    report.source = str(path)
    write_outputs(directory, images, source.xml, report)
    maps, truth = map_volumes(images), read_truth(truth_path(path))
    size = np.array(images[0].field_of_view) / np.array(images[0].matrix_size)
    write_comparison(directory / "demo.png", maps, truth, float(size[1] / size[0]))
    console.print(deviation_table(compare(maps, truth)))
    console.print(
        f"Last readout to last map: {report.latency_s * 1e3:.0f} ms; {report.acquisitions} readouts in "
        f"{report.total_s:.1f} s; peak memory {report.peak_memory_mb:.0f} MB. See {directory / 'demo.png'}.",
        highlight=False,
    )
