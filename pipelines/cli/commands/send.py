"""`spokestream send`: send a recorded scan to a server, as a scanner would."""

import argparse
from pathlib import Path

from spokestream.errors import FileError
from spokestream.pipelines.cli.options import add_set_option, named_values
from spokestream.pipelines.settings import AUTO

__all__ = ["HELP", "options", "run"]

HELP = "send a recorded scan to a server, as a scanner would"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the scan, the server, what to ask it for, the pace, and the file of the images."""
    parser.add_argument("scan", type=Path, help="ISMRMRD file of the scan")
    parser.add_argument("--host", default="localhost", help="name or address of the server [localhost]")
    parser.add_argument("--port", type=int, default=9002, metavar="N", help="TCP port of the server [9002]")
    parser.add_argument(
        "--pipeline", default=AUTO, metavar="NAME",
        help=f"which reconstruction to ask for, by name or as XML [{AUTO}: by the sequence]",
    )  # fmt: skip
    add_set_option(parser)
    parser.add_argument(
        "--speed", type=float, metavar="X", help="how many times faster than the scanner; by default as fast as it goes"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("maps.h5"), metavar="FILE", help="images [maps.h5]")


def run(arguments: argparse.Namespace) -> None:
    """Send, write the images and say what came back. Raises SpokestreamError when nothing does, and OSError."""
    from rich.console import Console

    from spokestream.pipelines.client import scanner_pace, send_scan
    from spokestream.pipelines.files.map_file import write_map_images
    from spokestream.pipelines.files.scan_source import open_scan
    from spokestream.whole_files import check_writable

    a = arguments
    if a.output.is_dir():
        raise FileError(f"{a.output} is a folder; name a file for the images.")
    check_writable(a.output.parent)
    parameters, source = named_values(a.parameters), open_scan(a.scan)
    pace = None if a.speed is None else scanner_pace(source, a.speed)
    reply = send_scan(source.xml, source, a.host, a.port, a.pipeline, parameters, pace)
    write_map_images(a.output, reply.images, source.xml)
    console = Console()
    for text in reply.texts:
        console.print(text.strip(), highlight=False, markup=False)
    seconds = reply.seconds_from_last_spoke_to_last_image
    console.print(f"{len(reply.images)} images, the last {seconds:.2f} s after the last readout: {a.output}.")
