"""`spokestream denoiser`: make the evidence of simulated slices, and train a denoiser of maps on it."""

import argparse
from pathlib import Path

from spokestream.pipelines.cli.options import add_options, settings_from
from spokestream.pipelines.cli.progress import counting_progress

__all__ = ["HELP", "options", "run"]

HELP = "train a denoiser of maps on simulated slices"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: folder of the evidence, archive, and settings."""
    from spokestream.models.denoising.denoiser_settings import DenoiserSettings

    parser.add_argument("folder", type=Path, metavar="EVIDENCE", help="where slices are kept; missing ones are made")
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="file to write")
    add_options(parser, DenoiserSettings)


def run(arguments: argparse.Namespace) -> None:
    """Make what is missing, train, and say how good the denoiser is. Raises SpokestreamError for what cannot be."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from spokestream.models.denoising.card import denoiser_card
    from spokestream.models.denoising.denoiser_settings import DenoiserSettings
    from spokestream.models.denoising.evidence_set import make_evidence
    from spokestream.models.denoising.training import train_denoiser
    from spokestream.simulator.physics.quantities import QUANTITIES
    from spokestream.whole_files import check_writable

    check_writable(arguments.archive.parent)
    settings, console = settings_from(arguments, DenoiserSettings), Console()
    with counting_progress(console, "subjects") as bar:
        make_evidence(arguments.folder, settings, bar)
    with counting_progress(console, "epochs") as bar:
        card = train_denoiser(arguments.folder, arguments.archive, settings, bar)
    arguments.archive.with_suffix(".md").write_text(denoiser_card(card), "utf-8")
    columns = [f"{kind}, {when}" for kind in card.metrics for when in ("before", "after")]
    table = Table("Errors of held-out subjects", *columns)
    for name in card.model.names:
        values = [f"{value:g}" for found in card.metrics.values() for value in found[name]]
        table.add_row(escape(f"{QUANTITIES[name].title} [{QUANTITIES[name].unit}]"), *values)
    console.print(table)
    for kind, found in card.metrics.items():
        one, two = found["within"]
        console.print(f"{kind}: {one:g} % within one standard deviation, {two:g} % within two.", highlight=False)
