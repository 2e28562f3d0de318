"""`spokestream train`: teach a network, or go on teaching it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.pipelines.cli.options import add_options, settings_from

if TYPE_CHECKING:
    from rich.console import Console

    from spokestream.models.training.loop import BatchReport

__all__ = ["options", "run"]


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: folders of the run and of its training set, and the settings."""
    from spokestream.models.training.training_settings import TrainingSettings

    parser.add_argument("folder", type=Path, metavar="RUN", help="to fill; an interrupted call goes on where it was")
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="folder of the training set, from 'spokestream dataset'"
    )
    add_options(parser, TrainingSettings)


def run(arguments: argparse.Namespace) -> None:
    """Train and say how good the best weights are. Raises ValueError for what cannot be trained."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from spokestream.models.training.loop import train
    from spokestream.models.training.processes import Processes
    from spokestream.models.training.training_settings import TrainingSettings

    settings, console = settings_from(arguments, TrainingSettings), Console()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    silent = not (console.is_terminal and Processes().first)
    with Progress(*columns, console=console, transient=True, disable=silent, speed_estimate_period=600) as bar:
        task = bar.add_task("", total=None)

        def show(report: "BatchReport") -> None:
            bar.update(
                task, completed=report.batch, total=report.batches,
                description=f"epoch {report.epoch + 1}, loss {report.loss:.3g}",
            )  # fmt: skip
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
