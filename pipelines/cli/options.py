"""Command-line options derived from a settings dataclass: one source for names, defaults, units and help."""

import argparse
from dataclasses import Field, fields
from typing import Any, TypeVar

__all__ = ["add_options", "given_options", "named_values", "settings_from"]

Settings = TypeVar("Settings")


def add_options(parser: argparse.ArgumentParser, *settings: type[Any]) -> None:
    """One `--option` per field; help, unit and choices are the field's metadata, the type is its default's."""
    for declared in _fields(settings):
        rules, kind = declared.metadata, type(declared.default)
        given: Any = declared.default
        value = ",".join(f"{v:g}" for v in given) if kind is tuple else given
        default = f"{value} {rules.get('unit', '')}".strip() or "none"
        parser.add_argument(
            f"--{declared.name.replace('_', '-')}",
            type=_numbers if kind is tuple else kind,
            default=argparse.SUPPRESS,  # what is not given is left to the settings
            choices=rules.get("choices") or None,
            metavar=None if rules.get("choices") else (rules.get("unit") or _PLACEHOLDER.get(kind, "TEXT")).upper(),
            help=f"{rules.get('help', '')} [{default}]".replace("%", "%%"),
        )


def _fields(settings: tuple[type[Any], ...]) -> "list[Field[Any]]":
    """The fields of several classes; one that they share comes once."""
    return list({declared.name: declared for kind in settings for declared in fields(kind)}.values())


_PLACEHOLDER: dict[type, str] = {int: "N", float: "X"}


def _numbers(text: str) -> tuple[float, ...]:
    """Several numbers: `0.3,-0.2`. A list that begins with a minus is given as `--option=-0.2,0.3`."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes numbers with commas between them, not '{text[:40]}'") from None


def given_options(arguments: argparse.Namespace, *settings: type[Any]) -> dict[str, Any]:
    """Values of the fields that were given on the command line."""
    return {f.name: getattr(arguments, f.name) for f in _fields(settings) if hasattr(arguments, f.name)}


def settings_from(arguments: argparse.Namespace, settings: type[Settings]) -> Settings:
    """The settings as given on the command line. Raises ValueError as the settings do."""
    return settings(**given_options(arguments, settings))


def named_values(texts: list[str]) -> dict[str, str]:
    """`["name=value", ...]` as a mapping. Raises ValueError for anything else."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"Write --set name=value, not '{text[:60]}'.")
        values[name.strip()] = value.strip()
    return values
