"""`spokestream replay`: reconstruct a recorded scan offline."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.pipelines.cli.options import add_options, add_set_option, given_options, named_values
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.settings import SETTINGS

if TYPE_CHECKING:
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
    parser.add_argument("--bids", action="store_true", help="name the NIfTI files as BIDS does, in its units")
    add_set_option(parser)
    add_options(parser, *SETTINGS.values())


def run(arguments: argparse.Namespace) -> None:
    """Reconstruct, write the maps and say what came out. Raises SpokestreamError for what cannot be done, and OSError.

    A setting that is given both by `--set` and by its own option has the value of its own option.
    """
    from rich.console import Console

    from spokestream.pipelines.files.replay import replay

    parameters = named_values(arguments.parameters) | given_options(arguments, *SETTINGS.values())
    console = Console(stderr=True)
    with warnings_on(console), counting_progress(console, "readouts") as show:
        report = replay(arguments.scan, arguments.output, arguments.pipeline, parameters, show, bids=arguments.bids)
    Console().print(_summary(report, arguments.output), highlight=False)


def _summary(report: "ReconstructionReport", folder: Path) -> str:
    """One paragraph for the console."""
    from spokestream.pipelines.files.image_notes import counts_of_scan

    wrong = [f"{n} {kind.replace('_', ' ')}" for kind, n in counts_of_scan(report.integrity).items() if n]
    wrong = [text for text in wrong if not text.endswith(" foreground")]
    lines = [
        f"{report.images} map images from {report.acquisitions} acquisitions in {report.total_s:.1f} s, "
        f"the last {report.latency_s * 1e3:.0f} ms after the last readout; peak memory {report.peak_memory_mb:.0f} MB.",
        f"Wrote {', '.join(report.files)} and report.json to {folder}.",
    ]
    if wrong:
        lines.insert(1, f"Counted over all slices: {', '.join(wrong)}.")
    return "\n".join(lines)
