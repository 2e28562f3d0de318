"""Settings: dataclass fields that declare their type, unit, meaning and limits.

One declaration serves every reader: the options of the command line, a site's file, the values that a scanner sends,
the checks, and the tables of the documentation.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from spokestream.errors import InputError

__all__ = ["Declaration", "check_settings", "declarations", "layered", "replace_settings", "setting"]

NAME = re.compile(r"[\w-]*")
LONGEST_SHOWN = 64
Settings = TypeVar("Settings")


def setting(
    default: Any, *, meaning: str, unit: str = "", low: float = -math.inf, high: float = math.inf,
    choices: tuple[str, ...] = (), peer: bool = False,
) -> Any:  # fmt: skip
    """Declare a field; its annotation is int, float, str, Path or a tuple of numbers, or one of these or None.

    Args:
        default: the value unless another is given. None stands for the default of something else, which `meaning`
            says.
        meaning: one line.
        unit: the unit of numbers that have one.
        low: the smallest number allowed.
        high: the largest number allowed.
        choices: the texts allowed; an empty tuple allows all.
        peer: whether a scanner may set it. A scanner can set names and numbers, but never a path.

    """
    return field(
        default=default,
        metadata={"meaning": meaning, "unit": unit, "low": low, "high": high, "choices": choices, "peer": peer},
    )


@dataclass(frozen=True)
class Declaration:
    """The declaration of one setting."""

    name: str
    kind: type[Any]
    """int, float, str or Path; the type of each number if there are several."""
    length: int | None
    """How many numbers there are; None if the setting is a single value."""
    optional: bool
    """Whether None is allowed."""
    default: Any
    meaning: str
    unit: str
    low: float
    high: float
    choices: tuple[str, ...]
    peer: bool

    @property
    def allowed(self) -> str:
        """What is allowed, in words: "a whole number from 1 to 64"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is Path:
            return "a path"
        if self.kind is str:
            return "a text"
        number = "whole number" if self.kind is int else "number"
        several = f"a {number}" if self.length is None else f"{self.length} {number}s"
        if math.isinf(self.low) and math.isinf(self.high):
            return several
        return f"{several} from {self.low:.15g} to {self.high:.15g} {self.unit}".rstrip()

    def read(self, given: object) -> Any:
        """The given value in the type of this setting: text is parsed, numbers and lists are converted.

        Raises InputError for a text that is not a number where a number is needed. Limits are left to `check`.
        """
        if self.length is None:
            return self._read_one(given)
        parts = given.split(",") if isinstance(given, str) else given
        return tuple(map(self._read_one, parts)) if isinstance(parts, tuple | list) else parts

    def check(self, value: object) -> None:
        """Raise InputError, in one sentence, for a value that this declaration does not allow."""
        if not self._allows(value):
            raise self._refusal(value)

    def _read_one(self, given: object) -> object:
        if self.kind is Path:
            return Path(given) if isinstance(given, str) else given
        if self.kind is str or not isinstance(given, str | int | float) or isinstance(given, bool):
            return given
        if self.kind is int and isinstance(given, float) and not given.is_integer():
            return given
        try:
            return self.kind(given)
        except (ValueError, OverflowError):
            raise self._refusal(given) from None

    def _allows(self, value: object) -> bool:
        if value is None:
            return self.optional
        if self.length is None:
            return self._allows_one(value)
        return isinstance(value, tuple | list) and len(value) == self.length and all(map(self._allows_one, value))

    def _allows_one(self, value: Any) -> bool:
        if self.kind in (str, Path):
            return isinstance(value, self.kind) and (not self.choices or value in self.choices)
        number = isinstance(value, Real if self.kind is float else int) and not isinstance(value, bool)
        return number and bool(self.low <= value <= self.high)

    def _refusal(self, value: object) -> InputError:
        return InputError(f"The setting {self.name} must be {self.allowed}, not {_shown(value)}.")


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(_shown_one, value))[:LONGEST_SHOWN]
    return _shown_one(value)


def _shown_one(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return f"'{value[:LONGEST_SHOWN]}'"
    # the text of lists in lists takes as many calls as their depth, which a client chooses
    return f"a {type(value).__name__}" if isinstance(value, tuple | list | dict) else str(value)[:LONGEST_SHOWN]


def declarations(settings: type[Any]) -> Mapping[str, Declaration]:
    """The declarations of a settings class by name, in their order."""
    annotations = get_type_hints(settings)
    return {f.name: Declaration(f.name, *_kind(annotations[f.name]), f.default, **f.metadata) for f in fields(settings)}


def _kind(annotation: Any) -> tuple[type[Any], int | None, bool]:
    """Type, number of values if there are several, and whether None is allowed."""
    alternatives = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    (kind,) = (a for a in alternatives if a is not NoneType)
    optional = len(alternatives) == 2
    if get_origin(kind) is tuple:
        return get_args(kind)[0], len(get_args(kind)), optional
    return kind, None, optional


def check_settings(settings: Any) -> None:
    """Raise InputError, in one sentence, for the first value that its declaration does not allow."""
    for name, declaration in declarations(type(settings)).items():
        declaration.check(getattr(settings, name))


def replace_settings(settings: Settings, values: Mapping[str, object], *, peer: bool = False) -> Settings:
    """The settings with some values replaced.

    Args:
        settings: a dataclass instance, which checks itself by `check_settings` when it is made.
        values: name -> value, as text or in the type of the setting.
        peer: whether the values come from a scanner, which may set only what is declared for it.

    Raises InputError for unknown names, which lists the known ones, and for values that are not allowed.

    """
    known = {name: d for name, d in declarations(type(settings)).items() if d.peer or not peer}
    changes: dict[str, Any] = {}
    for name, given in values.items():
        if name not in known:
            raise InputError(f"There is no parameter '{name[:LONGEST_SHOWN]}'; known are {', '.join(known)}.")
        value = changes[name] = known[name].read(given)
        # presets and networks can also be given as files, but a scanner must not make us open one
        if peer and isinstance(value, str) and not known[name].choices and not NAME.fullmatch(value):
            raise InputError(f"The setting {name} takes a name, not a path.")
    return replace(settings, **changes)  # type: ignore[type-var]


def layered(settings: Settings, *layers: Mapping[str, object]) -> Settings:
    """The settings with the values of all layers, as far as these are settings of this class.

    A later layer takes precedence over an earlier one: the command line over the site's file, and that over the
    defaults in `settings`. Raises InputError for values that are not allowed.
    """
    values = {name: value for layer in layers for name, value in layer.items()}
    return replace_settings(settings, {n: values[n] for n in declarations(type(settings)) if n in values})
