"""`spokestream replay`: reconstruct a recorded scan offline."""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.errors import FileError, InputError
from spokestream.pipelines.cli.format_options import add_format_options, given_formats
from spokestream.pipelines.cli.options import add_options, add_set_option, given_options, named_values
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.settings import SETTINGS

if TYPE_CHECKING:
    from rich.console import Console

    from spokestream.pipelines.files.outputs import ReconstructionReport

__all__ = ["HELP", "options", "run"]

HELP = "reconstruct a recorded scan offline"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the scan, the folder of the maps, the pipeline and its settings."""
    parser.add_argument("scan", type=Path, help="ISMRMRD file or stream of the scan, or the recording of a session")
    parser.add_argument("-o", "--output", type=Path, default=Path("maps"), metavar="FOLDER", help="for the maps [maps]")
    parser.add_argument(
        "--pipeline", metavar="NAME",
        help="which reconstruction; by default the one that has the given settings and whose maps the sequence "
        "encodes, or what the client of a recording asked for",
    )  # fmt: skip
    add_format_options(parser)
    add_set_option(parser)
    add_options(parser, *SETTINGS.values())


def run(arguments: argparse.Namespace) -> None:
    """Reconstruct, write the maps and say what came out. Raises SpokestreamError for what cannot be done, and OSError.

    The maps of a simulated scan are compared with the truth that lies beside it.
    A setting that is given both by `--set` and by its own option has the value of its own option.
    """
    from rich.console import Console

    from spokestream.pipelines.files.replay import replay
    from spokestream.simulator.scan_files.scan_file import truth_path

    parameters = named_values(arguments.parameters) | given_options(arguments, *SETTINGS.values())
    console = Console(stderr=True)
    with warnings_on(console), counting_progress(console, "readouts") as show:
        report = replay(
            arguments.scan, arguments.output, arguments.pipeline, parameters, show, given_formats(arguments)
        )
    Console().print(_summary(report, arguments.output), highlight=False)
    _compare(arguments.output, truth_path(arguments.scan), console)


def _compare(folder: Path, truth: Path, console: "Console") -> None:
    """Print the errors of the maps, if there is a truth; say so if the truth does not fit them."""
    from rich.console import Console

    from spokestream.pipelines.files.map_file import read_map_file
    from spokestream.pipelines.files.outputs import map_volumes
    from spokestream.pipelines.files.tissue_errors import error_tables
    from spokestream.pipelines.files.truth import read_truth

    if not truth.is_file():
        return
    try:
        tables = error_tables(map_volumes(read_map_file(folder / "maps.h5")[0]), read_truth(truth))
    except (FileError, InputError) as error:
        console.print(f"The maps are not compared with {truth.name}: {error}", highlight=False)
        return
    for table in tables:
        Console().print(table)


def _summary(report: "ReconstructionReport", folder: Path) -> str:
    """One paragraph for the console."""
    from spokestream.pipelines.files.image_notes import counts_of_scan

    wrong = [f"{n} {kind.replace('_', ' ')}" for kind, n in counts_of_scan(report.integrity).items() if n]
    wrong = [text for text in wrong if not text.endswith(" foreground")]
    lines = [
        f"{report.images} map images from {report.acquisitions} acquisitions in {report.total_s:.1f} s, "
        f"the last {report.latency_s * 1e3:.0f} ms after the last readout; peak memory {report.peak_memory_mb:.0f} MB.",
        f"Wrote {', '.join(_names(report.files))} and report.json to {folder}.",
    ]
    if wrong:
        lines.insert(1, f"Counted over all slices: {', '.join(wrong)}.")
    return "\n".join(lines)


def _names(files: list[str]) -> list[str]:
    """The names of files, and how many there are in each folder."""
    in_folders = Counter(file.partition("/")[0] for file in files if "/" in file)
    return [file for file in files if "/" not in file] + [f"{n} files in {name}/" for name, n in in_folders.items()]
