"""What the commands of `spokestream` do; heavy imports happen only when a command runs."""

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.pipelines.cli import dataset, dictionary, evaluate, export, train
from spokestream.pipelines.cli.options import add_options, given_options, named_values, settings_from

if TYPE_CHECKING:
    from spokestream.pipelines.files.outputs import ReconstructionReport

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """One subcommand: its line of help, its options and what it does."""

    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    from spokestream.simulator.simulation_settings import SimulationSettings

    parser.add_argument("scan", type=Path, help="ISMRMRD file to write; the truth goes beside it as .truth.h5")
    add_options(parser, SimulationSettings)


def _simulate(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from spokestream.simulator.scan_files.scan_file import truth_path
    from spokestream.simulator.simulate import simulate_scan
    from spokestream.simulator.simulation_settings import SimulationSettings

    settings = settings_from(arguments, SimulationSettings)
    console = Console()
    with Progress(console=console, transient=True) as progress:
        simulate_scan(arguments.scan, settings, progress)
    console.print(f"Wrote {arguments.scan} and its truth {truth_path(arguments.scan)}.", highlight=False)


def _parameter_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters", help="a pipeline setting"
    )


def _replay_options(parser: argparse.ArgumentParser) -> None:
    from spokestream.pipelines.settings import SETTINGS

    parser.add_argument("scan", type=Path, help="ISMRMRD file of the scan, or the recording of a session")
    parser.add_argument("-o", "--output", type=Path, default=Path("maps"), metavar="FOLDER", help="for the maps [maps]")
    parser.add_argument("--pipeline", default="mrf_t1ff", metavar="NAME", help="which reconstruction [mrf_t1ff]")
    add_options(parser, *SETTINGS.values())


def _replay(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from spokestream.pipelines.files.replay import replay
    from spokestream.pipelines.settings import SETTINGS

    parameters = {name: str(value) for name, value in given_options(arguments, *SETTINGS.values()).items()}
    with _progress_bar("Reconstructing") as advance:
        report = replay(arguments.scan, arguments.output, arguments.pipeline, parameters, advance)
    Console().print(summary(report, arguments.output), highlight=False)


def _serve_options(parser: argparse.ArgumentParser) -> None:
    from spokestream.pipelines.settings import SETTINGS

    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is everywhere [127.0.0.1]")
    parser.add_argument("--port", type=int, default=9002, help="TCP port; 0 takes a free one [9002]")
    parser.add_argument("--max-sessions", type=int, default=4, metavar="N", help="scans reconstructed at once [4]")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="keep the received bytes of every session")
    add_options(parser, *SETTINGS.values())


def _serve(arguments: argparse.Namespace) -> None:
    import asyncio
    from functools import partial

    from spokestream.pipelines.chains import configure, select, warm_up
    from spokestream.pipelines.node.server import Server, ServerSettings
    from spokestream.pipelines.settings import SETTINGS

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # on stderr
    a = arguments
    settings = ServerSettings(host=a.host, port=a.port, max_sessions=a.max_sessions, record_dir=a.record)
    pipelines = configure({name: str(value) for name, value in given_options(a, *SETTINGS.values()).items()})
    for chosen in pipelines.values():
        warm_up(chosen)
    asyncio.run(Server(settings, select=partial(select, settings=pipelines)).serve())


def _send_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scan", type=Path, help="ISMRMRD file of the scan")
    parser.add_argument("--host", default="localhost", help="of the server [localhost]")
    parser.add_argument("--port", type=int, default=9002, help="of the server [9002]")
    parser.add_argument("--config", default="mrf_t1ff", metavar="NAME", help="what to ask the server for [mrf_t1ff]")
    parser.add_argument("--speed", type=float, metavar="X", help="times the scanner's own [as fast as it goes]")
    _parameter_option(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("maps.h5"), metavar="FILE", help="images [maps.h5]")


def _send(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from spokestream.pipelines.client import send_scan
    from spokestream.pipelines.files.ismrmrd_file import read_scan
    from spokestream.pipelines.files.outputs import write_map_images
    from spokestream.pipelines.pace import scanner_pace

    source = read_scan(arguments.scan)
    pace = None if arguments.speed is None else scanner_pace(source, arguments.speed)
    reply = send_scan(
        source.xml, source, arguments.host, arguments.port, arguments.config, named_values(arguments.parameters), pace
    )
    write_map_images(arguments.output, reply.images, source.xml)
    console = Console()
    for text in reply.texts:
        console.print(text.strip(), highlight=False, markup=False)
    seconds = reply.seconds_from_last_spoke_to_last_image
    console.print(f"{len(reply.images)} images, the last {seconds:.2f} s after the last readout: {arguments.output}.")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    """None."""


def _doctor(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from spokestream.pipelines.cli.doctor import examine

    examine(Console())


def _demo_options(parser: argparse.ArgumentParser) -> None:
    from spokestream.simulator.simulation_settings import SimulationSettings

    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="FOLDER", help="for results [demo]")
    parser.add_argument("--pipeline", default="mrf_t1ff", metavar="NAME", help="which reconstruction [mrf_t1ff]")
    parser.add_argument("--speed", type=float, default=3.0, metavar="X", help="times the scanner's own [3]")
    _parameter_option(parser)
    add_options(parser, SimulationSettings)


def _demo(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from spokestream.pipelines.cli.demo import run_demo
    from spokestream.simulator.simulation_settings import SimulationSettings

    settings = settings_from(arguments, SimulationSettings)
    parameters = named_values(arguments.parameters)
    run_demo(arguments.output, settings, arguments.pipeline, parameters, arguments.speed, Console())


COMMANDS: dict[str, Command] = {
    "simulate": Command("write a simulated scan and its truth", _simulate_options, _simulate),
    "replay": Command("reconstruct a recorded scan offline", _replay_options, _replay),
    "serve": Command("reconstruct scans as they come over the network", _serve_options, _serve),
    "send": Command("send a recorded scan to a server, as a scanner would", _send_options, _send),
    "dictionary": Command("make a dictionary file for a sequence", dictionary.options, dictionary.run),
    "dataset": Command("make a training set, go on with one, or add subjects to it", dataset.options, dataset.run),
    "train": Command("train a network, or go on with it", train.options, train.run),
    "export": Command("make an archive of a trained network", export.options, export.run),
    "evaluate": Command(
        "compare reconstructors on held-out subjects: tables, figures, one page",
        evaluate.options,
        evaluate.run,
    ),
    "doctor": Command("check this install end to end on a small simulated scan", _doctor_options, _doctor),
    "demo": Command("simulate a scan, play it into a server, compare the maps with the truth", _demo_options, _demo),
}


def summary(report: "ReconstructionReport", folder: Path) -> str:
    """One paragraph for the console."""
    wrong: dict[str, int] = {}
    for image in report.integrity:
        for what, n in image.items():
            if isinstance(n, int) and what not in ("slice", "foreground") and n:
                wrong[what] = wrong.get(what, 0) + n
    lines = [
        f"{report.images} map images from {report.acquisitions} acquisitions in {report.total_s:.1f} s, "
        f"the last {report.latency_s * 1e3:.0f} ms after the last readout; peak memory {report.peak_memory_mb:.0f} MB.",
        f"Wrote {', '.join(report.files)} and report.json to {folder}.",
    ]
    if wrong:
        lines.insert(1, "Counted over all images: " + ", ".join(f"{n} {w}" for w, n in sorted(wrong.items())) + ".")
    return "\n".join(lines)


@contextmanager
def _progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False)
    logger = logging.getLogger("spokestream")
    logger.addHandler(handler)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(label, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)
    finally:
        logger.removeHandler(handler)
