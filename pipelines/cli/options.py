"""Command-line options derived from the declarations of settings: names, types, defaults, units and help."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from spokestream.errors import InputError
from spokestream.settings import Declaration, declarations

__all__ = ["add_options", "add_set_option", "given_options", "named_values", "settings_from"]

Settings = TypeVar("Settings")
PLACEHOLDER: dict[type, str] = {int: "N", float: "X", Path: "PATH"}


def add_options(parser: argparse.ArgumentParser, *settings: type[Any]) -> None:
    """Add one `--option` for every setting; a list that begins with a minus is given as `--option=-0.2,0.3`."""
    for name, declared in _declarations(settings).items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_reader(declared),
            default=argparse.SUPPRESS,  # what is not given is left to the settings
            choices=declared.choices or None,
            metavar=None if declared.choices else (declared.unit or PLACEHOLDER.get(declared.kind, "TEXT")).upper(),
            help=f"{declared.meaning} {_default(declared)}".rstrip().replace("%", "%%"),
        )


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Add `--set NAME=VALUE`, which may be repeated; `named_values` reads it."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help="a setting of the pipeline; once for each",
    )  # fmt: skip


def given_options(arguments: argparse.Namespace, *settings: type[Any]) -> dict[str, Any]:
    """The values, in their types, of the settings that were given on the command line."""
    return {name: getattr(arguments, name) for name in _declarations(settings) if hasattr(arguments, name)}


def settings_from(arguments: argparse.Namespace, settings: type[Settings]) -> Settings:
    """The settings as given on the command line. Raises InputError for values that are not allowed."""
    return settings(**given_options(arguments, settings))


def named_values(texts: list[str]) -> dict[str, str]:
    """`["name=value", ...]` as a mapping. Raises InputError for anything else."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"Write --set name=value, not '{text[:60]}'.")
        values[name.strip()] = value.strip()
    return values


def _declarations(settings: tuple[type[Any], ...]) -> Mapping[str, Declaration]:
    """The settings of several classes; a setting that they share appears once."""
    return {name: declared for kind in settings for name, declared in declarations(kind).items()}


def _reader(declared: Declaration) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return declared.read(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _default(declared: Declaration) -> str:
    """The default in brackets; where it is None, the meaning says what is taken instead."""
    if declared.default is None:
        return ""
    value = declared.default
    text = ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
    return f"[{text} {declared.unit}".rstrip() + "]"
