"""`spokestream train`: train a network, or continue a run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.pipelines.cli.options import add_options, settings_from
from spokestream.pipelines.cli.progress import counting_progress

if TYPE_CHECKING:
    from rich.console import Console

    from spokestream.models.training.loop import BatchReport

__all__ = ["HELP", "options", "run"]

HELP = "train a network, or continue a run"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: folder of the run, training set, and settings."""
    from spokestream.models.training.training_settings import TrainingSettings

    parser.add_argument("folder", type=Path, metavar="RUN", help="where to write; an interrupted run is continued")
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder from 'spokestream dataset', or dictionary file from 'spokestream dictionary'",
    )
    add_options(parser, TrainingSettings)


def run(arguments: argparse.Namespace) -> None:
    """Train and say how good the best weights are. Raises SpokestreamError for what cannot be trained."""
    from rich.console import Console

    from spokestream.models.datasets.matched import match_training_set
    from spokestream.models.training.loop import train
    from spokestream.models.training.processes import Processes
    from spokestream.models.training.training_settings import TrainingSettings

    settings, console = settings_from(arguments, TrainingSettings), Console()
    if settings.targets == "matching" and arguments.data.is_dir() and Processes().size == 1:
        with counting_progress(console, "subjects") as bar:
            match_training_set(arguments.data, progress=bar)
    with counting_progress(console, "batches", window_s=600, hidden=not Processes().first) as bar:

        def show(report: "BatchReport") -> None:
            bar(report.batch, report.batches, f"epoch {report.epoch + 1}, loss {report.loss:.3g}")
            if report.nrmse:
                _say(console, f"epoch {report.epoch + 1}: validation NRMSE {_values(report.nrmse)}")

        best = train(arguments.folder, arguments.data, settings, show)
    if best:
        _say(
            console,
            f"{settings.network}: best after epoch {best.epoch}, validation NRMSE {_values(best.nrmse)}; "
            f"{best.seconds / 3600:.2g} hours. 'spokestream export' makes an archive of the weights in "
            f"{arguments.folder}.",
        )


def _values(nrmse: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in nrmse.items())


def _say(console: "Console", text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
