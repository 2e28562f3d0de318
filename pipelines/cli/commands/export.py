"""`spokestream export`: make an archive of a trained network."""

import argparse
from pathlib import Path

__all__ = ["HELP", "options", "run"]

HELP = "make an archive of a trained network"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: folder of the run, its training set, the archive, its name."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of a run of 'spokestream train'")
    parser.add_argument("data", type=Path, metavar="DATA", help="training set of that run")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="archive to write (.pt)")
    parser.add_argument("--name", help="name of the archive in reports; by default that of the network")


def run(arguments: argparse.Namespace) -> None:
    """Write the archive and its model card, and say how closely it reproduces the network.

    Raises SpokestreamError for a run that cannot be exported, and OSError.
    """
    from rich.console import Console

    from spokestream.models.training.exporting import export
    from spokestream.models.training.model_card import model_card

    contract, difference = export(arguments.folder, arguments.data, arguments.output, arguments.name)
    card = arguments.output.with_suffix(".md")
    card.write_text(model_card(contract))
    size = arguments.output.stat().st_size / 1e6
    Console().print(
        f"{contract.name}: {size:.2g} MB in {arguments.output}, described in {card}; its maps are those of the trained "
        f"network to {difference:.1g} of their ranges.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
