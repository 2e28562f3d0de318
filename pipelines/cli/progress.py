"""The progress bar of long work that counts things."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["counting_progress"]


@contextmanager
def counting_progress(console: "Console", things: str, window_s: float = 30) -> Iterator[Callable[[int, int], None]]:
    """A bar with time gone and time left; yields what is told how many things are done and how many there are.

    Args:
        console: nothing is shown where it is no terminal.
        things: that are counted, in the plural.
        window_s: over which the time left is estimated.

    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = BarColumn(), MofNCompleteColumn(), TextColumn(things), TimeElapsedColumn(), TimeRemainingColumn()
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent, speed_estimate_period=window_s) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
