"""`spokestream simulate`: write a simulated scan and its truth."""

import argparse
from pathlib import Path

from spokestream.pipelines.cli.options import add_options, settings_from

__all__ = ["HELP", "options", "run"]

HELP = "write a simulated scan and its truth"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the file and the settings of the scan."""
    from spokestream.simulator.simulation_settings import SimulationSettings

    parser.add_argument("scan", type=Path, help="ISMRMRD file to write; the truth goes beside it as .truth.h5")
    add_options(parser, SimulationSettings)


def run(arguments: argparse.Namespace) -> None:
    """Simulate and write. Raises SpokestreamError for what cannot be simulated, and OSError."""
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
