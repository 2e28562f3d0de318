"""`spokestream evaluate`: compare reconstructors on held-out subjects, as numbers and as a page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE
from spokestream.gadgets.network.device import DEVICES, PRECISIONS
from spokestream.pipelines.cli.progress import counting_progress, warnings_on
from spokestream.pipelines.cli.worker_options import (
    add_threads_option,
    add_worker_options,
    check_number_of_workers,
    given_scheduler,
    given_threads,
)

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["HELP", "options", "run"]

HELP = "compare reconstructors on held-out subjects: tables, figures, one page"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the sets, the reconstructors, and where to compute."""
    parser.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="folder of held-out subjects, made by `spokestream dataset`",
    )
    suite = parser.add_argument_group("instead of folders")
    suite.add_argument(
        "--suite", choices=("stress",), help="make the sets of named conditions in the folder `sets` of the report"
    )
    suite.add_argument("--conditions", metavar="A,B", help="only these conditions of the suite [all]")
    suite.add_argument("--subjects", type=int, metavar="N", help="subjects of each condition [10]")
    suite.add_argument(
        "--images", choices=(ADJOINT, ITERATIVE, "both"), help="images of the sets, as in the pipeline [adjoint]"
    )
    suite.add_argument("--matrix", type=int, metavar="PIXELS", help="image matrix along x and y [350]")
    parser.add_argument(
        "--with", action="append", dest="reconstructors", metavar="WHAT",
        help="matching, the path of an archive, or the name of a network that comes with the software; once for each "
        "[matching]. 'matching, refine=on' refines the maps, and so for networks",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path("report"), help="folder of the report [report]")
    add_threads_option(parser)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where networks run [auto]")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="arithmetic of networks [auto]")
    add_worker_options(
        parser,
        "by default this process. A task is one slice by one reconstructor, and the numbers but the times are the same",
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, write the report, and show its ranking. Raises SpokestreamError for what cannot be evaluated."""
    from rich.console import Console

    from spokestream.models.evaluation.evaluating import evaluate
    from spokestream.models.evaluation.reconstructors import MATCHING, reconstructor
    from spokestream.models.evaluation.report import write_report
    from spokestream.models.evaluation.suite.conditions import chosen
    from spokestream.models.evaluation.suite.running import evaluate_suite

    threads, scheduler = given_threads(arguments), given_scheduler(arguments)
    if threads < 1:
        raise InputError(f"Evaluation takes one thread or more, not {threads}.")
    check_number_of_workers(arguments, "Evaluation")
    _check_what(arguments)
    wanted = arguments.reconstructors or [MATCHING]
    reconstructors = [reconstructor(what, arguments.device, arguments.precision) for what in wanted]
    console, workers = Console(), arguments.workers
    with warnings_on(Console(stderr=True)), counting_progress(console, "slices", window_s=600) as show:
        if arguments.suite:
            evaluation = evaluate_suite(
                arguments.output / "sets",
                chosen(arguments.conditions.split(",") if arguments.conditions else []),
                reconstructors,
                images=(ADJOINT, ITERATIVE) if arguments.images == "both" else (arguments.images or ADJOINT,),
                threads=threads,
                show=show,
                scheduler=scheduler,
                workers=workers,
                **{n: v for n in ("subjects", "matrix") if (v := getattr(arguments, n)) is not None},
            )
        else:
            evaluation = evaluate(arguments.folders, reconstructors, threads, show, scheduler, workers)
    found = write_report(arguments.output, evaluation)
    for condition in found["conditions"]:
        console.print(_ranking(found, condition))
    wrote = f"Wrote {arguments.output / 'report.html'}, results.json and subjects.csv."
    console.print(wrote, highlight=False, markup=False, soft_wrap=True)


def _check_what(arguments: argparse.Namespace) -> None:
    """Raises InputError unless either folders or a suite are given."""
    if bool(arguments.folders) == bool(arguments.suite):
        raise InputError("Evaluation takes either folders of held-out subjects or --suite stress.")
    given = [n for n in ("conditions", "subjects", "matrix", "images") if getattr(arguments, n) is not None]
    if given and not arguments.suite:
        raise InputError(f"The option --{given[0]} belongs to --suite stress; the folders have their own.")


def _ranking(found: dict[str, Any], condition: str) -> "Table":
    """The errors on one set, one row for each reconstructor; red where matching has the smaller error."""
    from rich.table import Table

    from spokestream.models.evaluation.report import error_text, is_worse

    table = Table(title=f"{condition}: RMSE against the truth", title_style="bold", header_style="bold")
    table.add_column("")
    for name, about in found["maps"].items():
        unit = "" if about["unit"] == "1" else about["unit"]
        over = found["ranked"][name].replace(" ", "")  # the names of networks need the room
        table.add_column(f"{name}\n{unit}\n{over}", justify="right", no_wrap=True)
    for heading in ("\n\nflagged", "\ns a\nslice"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, verdict in found["conditions"][condition]["reconstructors"].items():
        errors = [
            f"[red]{error_text(found, condition, name, m)}[/red]" if is_worse(found, condition, name, m)
            else error_text(found, condition, name, m)
            for m in found["maps"]
        ]  # fmt: skip
        flagged = verdict["flagged_share"]
        share = "–" if flagged is None else f"{100 * flagged:.1f} %"
        table.add_row(name, *errors, share, f"{verdict['seconds_per_slice']:.2g}")
    return table
