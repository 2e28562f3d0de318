"""Progress of long work on the console, and warnings above it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Show", "counting_progress", "warnings_on"]


class Show(Protocol):
    """Shows how far the work is."""

    def __call__(self, done: int, total: int | None, label: str = "") -> None:
        """Show how many things are done, how many there are (None if unknown), and a label in front of the bar."""


@contextmanager
def counting_progress(console: "Console", things: str, window_s: float = 30, *, hidden: bool = False) -> Iterator[Show]:
    """A bar with the time elapsed and the time left.

    Args:
        console: where to show it; nothing is shown where it is no terminal.
        things: what is counted, in the plural.
        window_s: period over which the time left is estimated.
        hidden: show nothing in any case.

    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(things), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    silent = hidden or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent, speed_estimate_period=window_s) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int | None, label: str = "") -> None:
            bar.update(task, completed=done, total=total, description=label)

        yield show


@contextmanager
def warnings_on(console: "Console") -> Iterator[None]:
    """Show the warnings of a reconstruction on the console while the context lasts."""
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_path=False, show_time=False)
    logger = logging.getLogger("spokestream")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
