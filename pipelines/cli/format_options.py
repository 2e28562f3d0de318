"""The options of commands that write maps: in which formats, and for which patient."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.errors import InputError

if TYPE_CHECKING:
    from spokestream.pipelines.files.formats import Formats

__all__ = ["add_dicom_source", "add_format_options", "given_formats", "refuse_formats_in_a_stream"]


def add_format_options(parser: argparse.ArgumentParser) -> None:
    """Add `--bids`, `--dicom` and `--dicom-from`."""
    parser.add_argument("--bids", action="store_true", help="name the NIfTI files as BIDS does, in its units")
    parser.add_argument("--dicom", action="store_true", help="write a folder of DICOM files, too")
    add_dicom_source(parser)


def add_dicom_source(parser: argparse.ArgumentParser) -> None:
    """Add `--dicom-from`."""
    parser.add_argument(
        "--dicom-from", type=Path, metavar="PATH",
        help="DICOM file or folder of the examination, from which DICOM files take patient, study, frame of reference "
        "and equipment; anonymous by default",
    )  # fmt: skip


def given_formats(arguments: argparse.Namespace) -> "Formats":
    """The formats that the command line asks for; `--dicom-from` asks for DICOM."""
    from spokestream.pipelines.files.formats import Formats

    dicom_from = arguments.dicom_from
    return Formats(arguments.bids, arguments.dicom or dicom_from is not None, dicom_from)


def refuse_formats_in_a_stream(formats: "Formats") -> None:
    """Raises InputError if a stream of images is asked for, and files of other formats, too."""
    if formats.bids or formats.dicom:
        raise InputError(
            "A stream or a file of images has no other formats; leave --bids and --dicom out, or name a folder."
        )
