"""The options of commands that give their work to many processes."""

import argparse

from spokestream.dask_workers import LOCAL
from spokestream.errors import InputError

__all__ = [
    "add_threads_option", "add_worker_options", "check_number_of_workers", "given_scheduler", "given_threads",
]  # fmt: skip

ALONE = 2
"""CPU threads of a command that works in one process."""


def add_worker_options(group: "argparse.ArgumentParser | argparse._ArgumentGroup", default: str = "") -> None:
    """Add `--scheduler` and `--workers`; `default` is what is done without them, where this is not `local`."""
    local = f"or 'local' for processes of this machine; {default}" if default else (
        "by default, or with 'local', processes of this machine"
    )  # fmt: skip
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help=f"Dask scheduler whose workers see the same files; {local}"
    )
    group.add_argument(
        "--workers", type=int, metavar="N",
        help="processes of this machine; by default as many as its cores and memory allow",
    )  # fmt: skip


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`, for one process or for each of many."""
    parser.add_argument(
        "--threads", type=int, metavar="N", help=f"CPU threads of each process [{ALONE}; 1 with workers]"
    )


def check_number_of_workers(arguments: argparse.Namespace, what: str) -> None:
    """Raises InputError if no worker is wanted; `what` takes one or more."""
    if arguments.workers is not None and arguments.workers < 1:
        raise InputError(f"{what} takes one worker or more, not {arguments.workers}.")


def given_scheduler(arguments: argparse.Namespace) -> str | None:
    """The scheduler; a number of workers alone means those of this machine, and None is this process."""
    scheduler: str | None = arguments.scheduler or (LOCAL if arguments.workers else None)
    return scheduler


def given_threads(arguments: argparse.Namespace) -> int:
    """The number of CPU threads of each process."""
    alone = ALONE if given_scheduler(arguments) is None else 1
    return alone if arguments.threads is None else int(arguments.threads)
