"""`spokestream study`: repeat the study of a paper on simulated data, with the paper's values beside."""

import argparse
from pathlib import Path

from spokestream.errors import InputError
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.cli.worker_options import (
    add_threads_option,
    add_worker_options,
    check_number_of_workers,
    given_scheduler,
    given_threads,
)

__all__ = ["HELP", "options", "run"]

HELP = "repeat the study of a paper on simulated data: tables, figures, one page"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the study, its size, and the folder of its report."""
    from spokestream.pipelines.studies.registry import STUDIES
    from spokestream.pipelines.studies.study import SCALES

    parser.add_argument("study", choices=STUDIES, help="the paper")
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="small",
        help="size of the paper; what two cores finish in hours; or what only tries whether everything runs [small]",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random numbers [0]")
    add_threads_option(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER",
        help="folder of the report; an interrupted study in it is continued [studies/STUDY-SCALE]",
    )  # fmt: skip
    add_worker_options(
        parser,
        "by default this process. The subjects of a data set, and steps that do not need each other (trainings of "
        "different networks, tests), run at once; a single training is not spread. Times that the study measures are "
        "then those of a shared machine",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the study and write its report. Raises SpokestreamError for another run in the folder."""
    from rich.console import Console
    from rich.table import Table

    from spokestream.pipelines.studies.registry import load_study
    from spokestream.pipelines.studies.report import write_study
    from spokestream.pipelines.studies.running import run_study

    threads, scheduler = given_threads(arguments), given_scheduler(arguments)
    check_number_of_workers(arguments, "A study")
    if threads < 1 or arguments.seed < 0:
        raise InputError("A study takes one thread or more, and a seed of 0 or more.")
    study, console = load_study(arguments.study), Console()
    folder = arguments.output or Path("studies") / f"{study.name}-{arguments.scale}"
    with warnings_on(Console(stderr=True)), counting_progress(console, "steps", window_s=3600) as show:
        found = run_study(study, arguments.scale, folder, arguments.seed, threads, show, scheduler, arguments.workers)
    report = write_study(folder, study, found)
    for shown in report.tables:
        table = Table(*shown.heads, title=shown.caption, title_style="bold", header_style="bold")
        for row in shown.rows:
            table.add_row(*row)
        console.print(table)
    for claim in report.claims:
        verdict = "[green]holds[/green]" if claim.holds else "[red]does not hold[/red]"
        console.print(f"{claim.text} {verdict} here: {claim.found}.", highlight=False)
    wrote = f"Wrote {folder / 'report.html'}, study.md and study.json."
    console.print(wrote, highlight=False, markup=False, soft_wrap=True)
