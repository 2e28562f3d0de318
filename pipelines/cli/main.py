"""The command line: `spokestream COMMAND`."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Protocol

from spokestream.errors import SpokestreamError
from spokestream.pipelines.cli.commands import (
    accept,
    convert,
    dataset,
    demo,
    denoiser,
    dictionary,
    doctor,
    evaluate,
    export,
    package,
    replay,
    send,
    serve,
    simulate,
    study,
    train,
    xml,
)

__all__ = ["COMMANDS", "main"]

FAILURE = 1
WRONG_USAGE = 2
DEFECT = 70
"""The exit code that sysexits.h calls an internal software error."""


class Command(Protocol):
    """What the module of a command holds. It imports heavy libraries only when the command runs."""

    HELP: str

    def options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Do what the command is for. Raises SpokestreamError or OSError with a sentence for the user."""


COMMANDS: dict[str, Command] = {
    "simulate": simulate,
    "replay": replay,
    "serve": serve,
    "send": send,
    "convert": convert,
    "dictionary": dictionary,
    "dataset": dataset,
    "train": train,
    "export": export,
    "evaluate": evaluate,
    "study": study,
    "accept": accept,
    "xml": xml,
    "package": package,
    "doctor": doctor,
    "demo": demo,
    "denoiser": denoiser,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, 1 for a failure, 2 for wrong usage, 70 for a defect of this software.

    A failure is one sentence on the error stream. A defect is a traceback and a sentence that asks for a report.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser(arguments)
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return WRONG_USAGE
    try:
        COMMANDS[parsed.command].run(parsed)
    except KeyboardInterrupt:
        return _fail("interrupted")
    except (SpokestreamError, OSError) as error:
        return _fail(str(error))
    except Exception as error:  # noqa: BLE001  the last place where a defect can be explained
        traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        sys.stderr.write(f"This is a defect of spokestream: {what}. Please report it with the traceback above.\n")
        return DEFECT
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spokestream",
        description="Golden-angle spokes of MR fingerprinting in, quantitative maps out.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the version, of a checkout its commit, too, and exit"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        if name == chosen:  # options come from settings, whose modules are imported only for the command that runs
            command.options(subparser)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from spokestream import __version__
        from spokestream.pipelines.cli.git_state import git_state

        state = git_state()
        sys.stdout.write(f"spokestream {__version__}{f' (git {state})' if state else ''}\n")
        parser.exit()


def _fail(sentence: str) -> int:
    sys.stderr.write(f"error: {' '.join(sentence.split())}\n")
    return FAILURE
