"""`spokestream demo`: simulate a scan, play it into a server as a scanner would, compare the maps with the truth."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spokestream.pipelines.cli.options import add_options, add_set_option, given_options, named_values
from spokestream.pipelines.cli.sending import send_and_report
from spokestream.pipelines.settings import AUTO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from spokestream.pipelines.files.truth import Truth
    from spokestream.simulator.simulation_settings import SimulationSettings

__all__ = ["HELP", "options", "run", "run_demo"]

RELAXATION_PIPELINE = "mrf_t1t2"
RELAXATION_SCAN = {"sequence": "fisp-fang-2304", "matrix": 128, "coils": 8}
"""Settings of a scan for T1 and T2 where the command line gives no others; few pixels and coils keep the demo short."""
RELAXATION_ANATOMIES = ("brain", "nist")
"""Anatomies that are scanned for T1 and T2 unless the command line names a pipeline."""
CONSISTENT = {"images": "consistent"}
"""Settings of the sharpest maps."""
CHOICES = {
    "matching": ("mrf_t1ff", {"refine": "off"}),
    "refined": ("mrf_t1ff", {"denoise": "off"}),
    "denoised (default)": ("mrf_t1ff", {}),
    "consistent": ("mrf_t1ff", CONSISTENT),
    "network": ("mrf_t1ff_net", {}),
    "network, consistent": ("mrf_t1ff_net", CONSISTENT),
}
"""The reconstructions of water and fat that are compared unless the command line chooses one."""

HELP = "simulate a scan, play it into a server, compare the maps with the truth"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the folder of the results, the pipeline, the pace and the settings of the scan."""
    from spokestream.simulator.simulation_settings import SimulationSettings

    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="FOLDER", help="for results [demo]")
    parser.add_argument(
        "--pipeline", default=AUTO, metavar="NAME",
        help=f"which reconstruction [{AUTO}]; brain and nist are scanned for T1 and T2 unless another one is named",
    )  # fmt: skip
    add_set_option(parser)
    parser.add_argument(
        "--speed", type=float, default=3.0, metavar="X", help="how many times faster than a scanner [3]"
    )
    add_options(parser, SimulationSettings)


def run(arguments: argparse.Namespace) -> None:
    """Run the demonstration with the settings of the command line."""
    from rich.console import Console

    from spokestream.simulator.simulation_settings import SimulationSettings

    scan = scan_settings(arguments.pipeline, given_options(arguments, SimulationSettings))
    parameters = named_values(arguments.parameters)
    run_demo(arguments.output, SimulationSettings(**scan), arguments.pipeline, parameters, arguments.speed, Console())


def scan_settings(pipeline: str, given: "dict[str, Any]") -> "dict[str, Any]":
    """The settings of the scan: those that the command line gives, and those that the pipeline or the anatomy needs."""
    for_relaxation = pipeline == RELAXATION_PIPELINE or (
        pipeline == AUTO and given.get("anatomy") in RELAXATION_ANATOMIES
    )
    return (RELAXATION_SCAN if for_relaxation else {}) | given


def run_demo(
    directory: Path,
    settings: "SimulationSettings",
    pipeline: str,
    parameters: dict[str, str],
    speed: float,
    console: "Console",
) -> None:
    """Simulate, serve, send and compare; writes `scan.h5`, the maps and `demo.png` into a directory.

    If the pipeline is left to the sequence, and that is one of water and fat, other reconstructions are compared, too.

    Args:
        directory: made if it does not exist.
        settings: the settings of the scan.
        pipeline: the name of the pipeline.
        parameters: the settings of the pipeline.
        speed: how many times faster than the scanner.
        console: where progress and results are shown.

    Raises InputError or ScanError for impossible settings, ClientError when the scan cannot be reconstructed, OSError.

    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from spokestream.pipelines.chains import warm_up
    from spokestream.pipelines.files.ismrmrd_file import read_scan
    from spokestream.pipelines.files.outputs import map_volumes, write_outputs
    from spokestream.pipelines.files.plane import plane_of
    from spokestream.pipelines.files.tissue_errors import error_tables
    from spokestream.pipelines.files.truth import read_truth, write_comparison
    from spokestream.pipelines.node.server import local_server
    from spokestream.pipelines.selection import select
    from spokestream.simulator.scan_files.scan_file import truth_path
    from spokestream.simulator.simulate import simulate_scan
    from spokestream.whole_files import check_writable

    warm_up(select(pipeline).with_parameters(parameters).settings)
    check_writable(directory)
    path = directory / "scan.h5"
    columns = TextColumn("{task.description:<14}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        simulate_scan(path, settings, progress)
        task, source = progress.add_task("Scanning"), read_scan(path)

        def show(done: int, total: int | None, label: str = "") -> None:
            progress.update(task, completed=done, total=total)

        with local_server() as port:
            reply, report = send_and_report(source, "localhost", port, pipeline, parameters, speed, show)
    images = reply.images
    report.source = str(path)
    write_outputs(directory, images, source.xml, report)
    maps, truth = map_volumes(images), read_truth(truth_path(path))
    middle = next(image for image in images if image.slice == len(truth.tissue) // 2)
    write_comparison(directory / "demo.png", maps, truth, plane_of(middle))
    for warning in report.warnings:
        console.print(f"Warning: {warning}", highlight=False, markup=False)
    for table in error_tables(maps, truth):
        console.print(table)
    if pipeline == AUTO and not parameters and report.pipeline == "mrf_t1ff":
        console.print(_compared(path, truth))
    console.print(
        f"{report.acquisitions} readouts in {report.total_s:.1f} s; last readout to last map {report.latency_s:.2f} s; "
        f"peak memory {report.peak_memory_mb:.0f} MB with simulation and client. See {directory / 'demo.png'}.",
        highlight=False,
    )


def _compared(path: Path, truth: "Truth") -> "Table":
    """The errors of all `CHOICES` that take the scan."""
    from spokestream.errors import ScanError
    from spokestream.pipelines.files.ismrmrd_file import read_scan
    from spokestream.pipelines.files.outputs import map_volumes
    from spokestream.pipelines.files.replay import reconstruct
    from spokestream.pipelines.files.truth import choices_table, map_errors
    from spokestream.pipelines.selection import select

    errors = {}
    for title, (name, parameters) in CHOICES.items():
        try:
            images, _ = reconstruct(read_scan(path), select(name).with_parameters(parameters))
        except ScanError:  # the network is for one sequence
            continue
        errors[title] = map_errors(map_volumes(images), truth)
    return choices_table(errors)
