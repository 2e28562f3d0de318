"""The command line: `spokestream COMMAND`; what commands there are, `spokestream.pipelines.cli.commands` says."""

import argparse
import sys
from collections.abc import Sequence

from spokestream.pipelines.cli.commands import COMMANDS

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, 1 for a failure in one sentence, 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser(arguments)
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 2
    try:
        COMMANDS[parsed.command].run(parsed)
    except KeyboardInterrupt:
        return _fail("interrupted")
    except Exception as error:
        if not _is_explained(error):
            raise
        return _fail(str(error))
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spokestream", description="Golden-angle spokes of MR fingerprinting in, quantitative maps out."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.help, description=command.help)
        if name == chosen:  # options come from settings, whose modules are imported only for the command that runs
            command.configure(subparser)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from spokestream import __version__

        sys.stdout.write(f"spokestream {__version__}\n")
        parser.exit()


def _is_explained(error: Exception) -> bool:
    """Whether the error's text is a sentence for the person at the console."""
    from spokestream.errors import SpokestreamError

    return isinstance(error, (SpokestreamError, ValueError, OSError)) or type(error).__name__ == "ClientError"


def _fail(sentence: str) -> int:
    sys.stderr.write(f"error: {' '.join(sentence.split())}\n")
    return 1
