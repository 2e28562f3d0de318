"""`spokestream convert`: maps into the formats of a site, and scans from one container into the other."""

import argparse
from pathlib import Path

from spokestream.pipelines.cli.format_options import add_dicom_source
from spokestream.pipelines.cli.progress import warnings_on

__all__ = ["HELP", "options", "run"]

HELP = "convert maps to NIfTI, BIDS, DICOM, PNG, a page or a report, and scans between file and stream"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: what to convert, where to, and what DICOM and BIDS need."""
    from spokestream.pipelines.files.formats import CONVERSIONS

    parser.add_argument(
        "source", type=Path, metavar="IN",
        help="maps.h5, what a client of another server wrote, a scan, or a stream; - is a stream on standard input",
    )  # fmt: skip
    parser.add_argument("target", type=Path, metavar="OUT", help="file or folder; - is a stream on standard output")
    parser.add_argument(
        "--to", choices=CONVERSIONS,
        help="format; by default that of the ending: .png, .html (page), .json (report), .h5 (ismrmrd), .mrd (stream)",
    )  # fmt: skip
    add_dicom_source(parser)
    parser.add_argument("--subject", default="01", metavar="LABEL", help="subject in a BIDS dataset [01]")


def run(arguments: argparse.Namespace) -> None:
    """Convert and say what was written. Raises SpokestreamError for what cannot be converted, and OSError."""
    from rich.console import Console

    from spokestream.pipelines.files.conversion import ConversionOptions, convert

    a, console = arguments, Console(stderr=True)
    with warnings_on(console):
        form = convert(a.source, a.target, a.to, ConversionOptions(a.dicom_from, a.subject))
    console.print(f"Wrote {a.target} ({form}).", highlight=False)
