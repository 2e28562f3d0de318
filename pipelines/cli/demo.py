"""The demonstration: a simulated scan played into a server at the pace of a scanner, its maps against the truth."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import ismrmrd
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from spokestream.pipelines.chains import select, warm_up
from spokestream.pipelines.client import send_scan
from spokestream.pipelines.files.ismrmrd_file import Scan, read_scan
from spokestream.pipelines.files.outputs import ReconstructionReport, map_volumes, write_outputs
from spokestream.pipelines.files.replay import peak_memory_mb
from spokestream.pipelines.files.truth import error_table, map_errors, read_truth, write_comparison
from spokestream.pipelines.node.local_server import local_server
from spokestream.pipelines.pace import scanner_pace
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

__all__ = ["run_demo"]


def run_demo(
    directory: Path,
    settings: SimulationSettings,
    pipeline: str,
    parameters: dict[str, str],
    speed: float,
    console: Console,
) -> None:
    """Simulate, serve, send, compare: leaves `scan.h5`, the maps and `demo.png` in a directory.

    Args:
        directory: made if need be.
        settings: of the scan.
        pipeline: its name.
        parameters: of the pipeline.
        speed: in multiples of the scanner's.
        console: for progress and results.

    Raises ValueError or ScanError for impossible settings, ClientError when the scan cannot be reconstructed, OSError.

    """
    warm_up(select(pipeline).with_parameters(parameters).settings)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "scan.h5"
    columns = TextColumn("{task.description:<14}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        simulate_scan(path, settings, progress)
        images, report = _scan(read_scan(path), pipeline, parameters, speed, progress)
    report.source = str(path)
    write_outputs(directory, images, read_scan(path).xml, report)
    maps, truth = map_volumes(images), read_truth(truth_path(path))
    size = np.array(images[0].field_of_view) / np.array(images[0].matrix_size)
    write_comparison(directory / "demo.png", maps, truth, float(size[1] / size[0]))
    console.print(error_table(map_errors(maps, truth)))
    console.print(
        f"{report.acquisitions} readouts in {report.total_s:.1f} s; last readout to last map {report.latency_s:.2f} s; "
        f"peak memory {report.peak_memory_mb:.0f} MB with simulation and client. See {directory / 'demo.png'}.",
        highlight=False,
    )


def _scan(
    source: Scan, pipeline: str, parameters: dict[str, str], speed: float, progress: Progress
) -> tuple[list[ismrmrd.Image], ReconstructionReport]:
    task = progress.add_task("Scanning", total=source.n_acquisitions)

    def shown() -> Iterator[ismrmrd.Acquisition]:
        for acquisition in source:
            yield acquisition
            progress.advance(task)

    pace = scanner_pace(source, speed)
    with local_server() as port:
        begin = perf_counter()
        reply = send_scan(source.xml, shown(), port=port, config=pipeline, parameters=parameters, pace=pace)
        total = perf_counter() - begin
    return reply.images, ReconstructionReport(
        source="",
        pipeline=pipeline,
        parameters=dict(parameters),
        acquisitions=source.n_acquisitions,
        images=len(reply.images),
        total_s=total,
        latency_s=reply.seconds_from_last_spoke_to_last_image,
        peak_memory_mb=peak_memory_mb(),
    )
