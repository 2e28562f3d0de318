"""`spokestream dataset`: make a training set, continue one, or add subjects to it."""

import argparse
from pathlib import Path
from time import perf_counter

from spokestream.pipelines.cli.options import add_options, settings_from
from spokestream.pipelines.cli.progress import counting_progress

__all__ = ["HELP", "options", "run"]

HELP = "make a training set, continue one, or add subjects to it"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the folder, where to compute, and the settings of the set."""
    from spokestream.models.datasets.data_settings import DataSettings

    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write; an interrupted set is continued")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler, or 'synchronous' for this process; by default processes of this machine",
    )
    add_options(parser, DataSettings)


def run(arguments: argparse.Namespace) -> None:
    """Make the missing subjects and say in one line what there is. Raises SpokestreamError for what cannot be made."""
    from rich.console import Console

    from spokestream.models.datasets.data_settings import DataSettings
    from spokestream.models.datasets.making import make_training_set

    settings, console = settings_from(arguments, DataSettings), Console()
    begin = perf_counter()
    with counting_progress(console, "subjects", window_s=3600) as show:
        made = make_training_set(arguments.folder, settings, arguments.scheduler, show)
    seconds = perf_counter() - begin
    shards = list(arguments.folder.glob("subject-*.h5"))
    gigabytes = sum(shard.stat().st_size for shard in shards) / 1e9
    pace = f", {seconds / (made * settings.slices):.2g} s a slice" if made else ""
    console.print(
        f"{len(shards)} subjects, {len(shards) * settings.slices} slices, {gigabytes:.3g} GB in {arguments.folder}; "
        f"made {made} subjects in {seconds:.0f} s{pace}.",
        highlight=False,
        soft_wrap=True,
    )
