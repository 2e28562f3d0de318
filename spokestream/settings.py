"""Settings as dataclass fields that say unit, meaning and limits, from which options, checks and pages derive."""

from dataclasses import field, fields
from typing import Any

import numpy as np

__all__ = ["check_settings", "setting"]


def setting(
    default: Any, unit: str, about: str, low: float = -np.inf, high: float = np.inf, choices: tuple[str, ...] = ()
) -> Any:
    """Declare a field.

    Args:
        default: also gives the type: int, float, str, or a tuple of numbers.
        unit: of numbers, where they have one.
        about: one line.
        low: smallest number allowed.
        high: largest number allowed.
        choices: the texts allowed; none allows any.

    """
    return field(default=default, metadata={"unit": unit, "help": about, "low": low, "high": high, "choices": choices})


def check_settings(settings: Any) -> None:
    """Raise ValueError, in one sentence, for the first field whose value its declaration does not allow."""
    for declared in fields(settings):
        _check(declared.name, getattr(settings, declared.name), declared.default, declared.metadata)


def _check(name: str, value: Any, default: Any, rules: Any) -> None:
    low, high = rules["low"], rules["high"]
    limits = f"from {low:g} to {high:g} {rules['unit']}".strip()
    if isinstance(default, str):
        if rules["choices"] and value not in rules["choices"]:
            raise ValueError(f"The setting {name} is one of {', '.join(rules['choices'])}, not '{value}'.")
    elif isinstance(default, tuple):
        given = value if isinstance(value, tuple | list) else (value,)
        whole = isinstance(default[0], int)
        if len(given) != len(default) or not all(low <= v <= high and (not whole or v == int(v)) for v in given):
            kind = "whole numbers" if whole else "numbers"
            shown = ",".join(f"{v:g}" for v in given)
            raise ValueError(f"The setting {name} takes {len(default)} {kind} {limits}, not {shown}.")
    elif isinstance(default, int):
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"The setting {name} must be a whole number {limits}, got {value}.")
    elif not low <= value <= high:
        raise ValueError(f"The setting {name} must be {limits}, got {value:g}.")
