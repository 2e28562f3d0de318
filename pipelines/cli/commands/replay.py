"""`spokestream replay`: reconstruct a recorded scan, or all scans of a folder, offline."""

import argparse
import sys
from pathlib import Path

from spokestream.pipelines.cli.archive import add_archive_options, refuse_archive_options, run_archive
from spokestream.pipelines.cli.format_options import add_format_options, given_formats, refuse_formats_in_a_stream
from spokestream.pipelines.cli.options import add_options, add_set_option, given_options, named_values
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.cli.results import show_results, summary
from spokestream.pipelines.settings import SETTINGS

__all__ = ["HELP", "options", "run"]

HELP = "reconstruct a recorded scan, or all scans of a folder, offline"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the scan, the folder of the maps, the pipeline and its settings."""
    parser.add_argument(
        "scan",
        type=Path,
        help="ISMRMRD file or stream of the scan, the recording of a session, or - for a stream on standard input; or "
        "a folder, of which all scans are reconstructed",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("maps"),
        metavar="FOLDER",
        help="for the maps [maps]; - writes them to standard output, as a stream of ISMRMRD messages",
    )
    parser.add_argument(
        "--pipeline", metavar="NAME",
        help="which reconstruction; by default the one that has the given settings and whose maps the sequence "
        "encodes, or what the client of a recording asked for",
    )  # fmt: skip
    add_format_options(parser)
    add_set_option(parser)
    add_options(parser, *SETTINGS.values())
    add_archive_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Reconstruct, write the maps and say what came out. Raises SpokestreamError for what cannot be done, and OSError.

    The maps of a simulated scan are compared with the truth that lies beside it.
    A setting that is given both by `--set` and by its own option has the value of its own option.
    """
    from rich.console import Console

    from spokestream.pipelines.files.piped_scan import PIPE
    from spokestream.pipelines.files.replay import replay, replay_to_stream

    a = arguments
    parameters = named_values(a.parameters) | given_options(a, *SETTINGS.values())
    formats, console = given_formats(a), Console(stderr=True)
    if a.scan.is_dir() and str(a.output) != PIPE:
        run_archive(a, parameters, formats)
        return
    refuse_archive_options(a)
    if str(a.output) == PIPE:
        refuse_formats_in_a_stream(formats)
        with warnings_on(console), counting_progress(console, "readouts") as show:
            report = replay_to_stream(a.scan, sys.stdout.buffer, a.pipeline, parameters, show)
        console.print(summary(report), highlight=False)
        return
    with warnings_on(console), counting_progress(console, "readouts") as show:
        report = replay(a.scan, a.output, a.pipeline, parameters, show, formats)
    show_results(report, a.output, a.scan, console)
