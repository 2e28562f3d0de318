"""`spokestream send`: send a recorded scan to a server, as a scanner would."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.errors import InputError
from spokestream.pipelines.cli.format_options import add_format_options, given_formats, refuse_formats_in_a_stream
from spokestream.pipelines.cli.options import add_set_option, named_values
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.cli.results import show_results
from spokestream.pipelines.cli.sending import send_and_report
from spokestream.pipelines.settings import AUTO, SETTINGS, AutoSettings
from spokestream.settings import replace_settings

if TYPE_CHECKING:
    import ssl

__all__ = ["HELP", "options", "run"]

HELP = "send a recorded scan to a server, as a scanner would"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the scan, the server, what to ask it for, the pace, and where the maps go."""
    parser.add_argument("scan", type=Path, help="ISMRMRD file or stream of the scan, or - for standard input")
    parser.add_argument("--host", default="localhost", help="name or address of the server [localhost]")
    parser.add_argument("--port", type=int, default=9002, metavar="N", help="TCP port of the server [9002]")
    parser.add_argument(
        "--tls", type=Path, metavar="CA_FILE", help="encrypt, and trust servers of this authority (PEM)"
    )
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="own certificate (PEM), if the server asks for one"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="private key of the own certificate (PEM)")
    parser.add_argument(
        "--pipeline", default=AUTO, metavar="NAME",
        help=f"which reconstruction to ask for, by name or as XML [{AUTO}: by the sequence]",
    )  # fmt: skip
    add_set_option(parser)
    parser.add_argument(
        "--speed", type=float, metavar="X", help="how many times faster than the scanner; by default as fast as it goes"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("maps.h5"), metavar="PATH",
        help="a file for the images alone [maps.h5], a folder for all that replay writes (a name without ending), or - "
        "for a stream of messages on standard output",
    )  # fmt: skip
    add_format_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Send, write the images and say what came back. Raises SpokestreamError when nothing does, and OSError."""
    from rich.console import Console

    from spokestream.pipelines.files.map_file import write_map_images
    from spokestream.pipelines.files.message_stream import MessageStream
    from spokestream.pipelines.files.outputs import write_outputs
    from spokestream.pipelines.files.piped_scan import PIPE
    from spokestream.pipelines.files.replay import check_output
    from spokestream.pipelines.files.scan_source import open_scan
    from spokestream.whole_files import check_writable

    a, console = arguments, Console(stderr=True)
    formats, parameters, to_pipe = given_formats(a), named_values(a.parameters), str(a.output) == PIPE
    in_folder = not to_pipe and (a.output.is_dir() or not a.output.suffix)
    if in_folder:
        formats.check()
    else:
        refuse_formats_in_a_stream(formats)
    if a.pipeline == AUTO or a.pipeline in SETTINGS:
        # here, because a node only warns of a parameter that it does not know
        replace_settings(SETTINGS.get(a.pipeline, AutoSettings)(), parameters, peer=True)
    tls = _tls(a)
    source = open_scan(a.scan)
    if in_folder:
        check_output(a.scan, a.output)
    elif not to_pipe:
        check_writable(a.output.parent)
    with ExitStack() as stack:
        stack.enter_context(warnings_on(console))
        show = stack.enter_context(counting_progress(console, "readouts"))
        pass_on = stack.enter_context(MessageStream(sys.stdout.buffer, source.xml)).pass_on if to_pipe else None
        reply, report = send_and_report(source, a.host, a.port, a.pipeline, parameters, a.speed, show, pass_on, tls)
    said = console if to_pipe else Console()
    for text in reply.texts:
        said.print(text.strip(), highlight=False, markup=False)
    if in_folder:
        report.source = str(a.scan)
        with warnings_on(console):
            report = write_outputs(a.output, reply.images, source.xml, report, formats)
        show_results(report, a.output, a.scan, console)
        return
    if not to_pipe:
        write_map_images(a.output, reply.images, source.xml)
    said.print(
        f"{report.images} images, the last {report.latency_s:.2f} s after the last readout: "
        f"{'standard output' if to_pipe else a.output}.",
        highlight=False,
    )


def _tls(a: argparse.Namespace) -> "ssl.SSLContext | None":
    """Which server is trusted, or None if nothing is encrypted. Raises InputError and FileError."""
    from spokestream.pipelines.tls import client_context

    if (a.certificate is None) != (a.key is None) or (a.certificate and a.tls is None):
        raise InputError("--certificate and --key need each other, and --tls.")
    return None if a.tls is None else client_context(a.tls, a.certificate, a.key)
