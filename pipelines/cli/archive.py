"""The part of `spokestream replay` that reconstructs all scans of a folder."""

import argparse
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from spokestream.errors import InputError, ScanError
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.cli.worker_options import add_worker_options, check_number_of_workers

if TYPE_CHECKING:
    from spokestream.pipelines.files.formats import Formats

__all__ = ["add_archive_options", "refuse_archive_options", "run_archive"]

OPTIONS = ("scheduler", "workers", "labels")


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """Add `--scheduler`, `--workers` and `--labels`."""
    group = parser.add_argument_group("for a folder of scans")
    add_worker_options(group)
    group.add_argument(
        "--labels", type=Path, metavar="FOLDER",
        help="regions of the scans, for the report over all scans: <scan>.nii.gz of whole numbers on the grid of the "
        "maps, or the truth of simulated scans",
    )  # fmt: skip


def refuse_archive_options(arguments: argparse.Namespace) -> None:
    """Raises InputError if an option for a folder of scans is given for one scan."""
    given = [name for name in OPTIONS if getattr(arguments, name) is not None]
    if given:
        raise InputError(f"--{given[0]} is for a folder of scans, and {arguments.scan} is not a folder.")


def run_archive(arguments: argparse.Namespace, parameters: dict[str, Any], formats: "Formats") -> None:
    """Reconstruct all scans of the folder, and show and write what became of them.

    Raises ScanError if any of them failed, and other SpokestreamErrors if none can be done.
    """
    from rich.console import Console

    from spokestream.pipelines.archive.archive_settings import ArchiveSettings
    from spokestream.pipelines.archive.population.report import write_population
    from spokestream.pipelines.archive.record import FAILED
    from spokestream.pipelines.archive.replaying import replay_archive
    from spokestream.pipelines.archive.table import console_table, counts, write_table

    a, errors, console = arguments, Console(stderr=True), Console()
    check_number_of_workers(a, "An archive")
    settings = ArchiveSettings(a.pipeline, parameters, formats, a.labels, a.scheduler, a.workers)
    begin = perf_counter()
    with warnings_on(errors), counting_progress(errors, "scans", window_s=3600) as show:
        records = replay_archive(a.scan, a.output, settings, show)
    minutes = (perf_counter() - begin) / 60
    write_table(a.output, records)
    population = write_population(a.output, records)
    if table := console_table(records):
        console.print(table)
    console.print(
        f"{len(records)} scans in {minutes:.1f} minutes: {counts(records)}. Wrote {', '.join(population)}, "
        f"scans.csv and scans.json to {a.output}.",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    failed = sum(record.outcome == FAILED for record in records)
    if failed:
        raise ScanError(f"{failed} of {len(records)} scans failed; the table says why.")
