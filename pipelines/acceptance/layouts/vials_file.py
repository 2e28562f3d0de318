"""A file of vials: the layout of a site's own phantom in TOML. `docs/acceptance.md` describes the format."""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spokestream.errors import FileError
from spokestream.pipelines.acceptance.layouts.layout import Layout, Limit, Vial
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["read_vials"]

KEYS = {"title", "field_t", "diameter_mm", "limits", "drifts", "vial"}
VIAL_KEYS = {"name", "centre_mm", "diameter_mm", "reference"}
LIMIT_KEYS = {"percent", "absolute"}


def read_vials(path: Path) -> Layout:
    """The layout that a file declares. Raises FileError, with one sentence, for anything else."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise FileError(f"The file of vials {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FileError(f"{path} is not a TOML file: {error}.") from None
    try:
        return _layout(content, path.stem)
    except _WrongError as error:
        raise FileError(f"{path}: {error}") from None


class _WrongError(Exception):
    """What is wrong with the file, in one sentence."""


def _layout(content: Mapping[str, Any], name: str) -> Layout:
    _known(content, KEYS, "the file")
    tables = content.get("vial", [])
    if not isinstance(tables, list) or not tables:
        raise _WrongError("there are no vials; write a table [[vial]] for each.")
    vials = tuple(_vial(table, number, content.get("diameter_mm")) for number, table in enumerate(tables, 1))
    names = [vial.name for vial in vials]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _WrongError(f"two vials have the name '{twice[0]}'.")
    return Layout(
        str(content.get("title", name)),
        vials,
        _limits(content.get("limits", {}), "limits"),
        _limits(content.get("drifts", {}), "drifts"),
        _field(content["field_t"]) if "field_t" in content else None,
    )


def _vial(table: Any, number: int, diameter_mm: Any) -> Vial:
    what = f"vial {number}"
    if not isinstance(table, Mapping):
        raise _WrongError(f"{what} is no table; write [[vial]].")
    _known(table, VIAL_KEYS, what)
    centre = table.get("centre_mm")
    if not isinstance(centre, list) or len(centre) != 2:
        raise _WrongError(f"{what} needs centre_mm = [x, y], in mm to the right and downwards in the picture.")
    reference = table.get("reference")
    if not isinstance(reference, Mapping) or not reference:
        raise _WrongError(f"{what} needs reference values, for instance reference = {{ t1 = 1200, t2 = 80 }}.")
    _maps(reference, f"the reference of {what}")
    diameter = _number(table.get("diameter_mm", diameter_mm), f"diameter_mm of {what}")
    if diameter <= 0:
        raise _WrongError(f"diameter_mm of {what} is {diameter:g}; it must be positive.")
    return Vial(
        str(table.get("name", what)),
        _number(centre[0], f"centre_mm of {what}"),
        _number(centre[1], f"centre_mm of {what}"),
        diameter / 2,
        {name: _reference(name, value, what) for name, value in reference.items()},
    )


def _reference(name: str, value: Any, what: str) -> float:
    number = _number(value, f"{name} of {what}")
    if number <= 0 and QUANTITIES[name].logarithmic:
        raise _WrongError(f"{name} of {what} is {number:g}; it must be positive.")
    return number


def _limits(table: Any, what: str) -> dict[str, Limit]:
    if not isinstance(table, Mapping):
        raise _WrongError(f"{what} is no table; write [{what}].")
    _maps(table, f"[{what}]")
    limits = {}
    for name, entry in table.items():
        if not isinstance(entry, Mapping) or not entry:
            raise _WrongError(f"{name} in [{what}] must be like {{ percent = 10 }} or {{ absolute = 0.03 }}.")
        _known(entry, LIMIT_KEYS, f"{name} in [{what}]")
        percent, absolute = (
            _number(entry.get(key, 0), f"{key} of {name} in [{what}]") for key in ("percent", "absolute")
        )
        if min(percent, absolute) < 0:
            raise _WrongError(f"the limit of {name} in [{what}] is negative.")
        limits[name] = Limit(percent / 100, absolute)
    return limits


def _field(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _WrongError("field_t must be the smallest and the largest main field, as in field_t = [2.8, 3.2].")
    return _number(value[0], "field_t"), _number(value[1], "field_t")


def _maps(table: Mapping[str, Any], what: str) -> None:
    if unknown := sorted(table.keys() - QUANTITIES.keys()):
        known = ", ".join(name for name, quantity in QUANTITIES.items() if quantity.symbol and quantity.series)
        raise _WrongError(f"there is no map '{unknown[0]}', which {what} names; known are {known}.")


def _known(table: Mapping[str, Any], keys: set[str], what: str) -> None:
    if unknown := sorted(table.keys() - keys):
        raise _WrongError(f"'{unknown[0]}' has no meaning in {what}; known are {', '.join(sorted(keys))}.")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _WrongError(f"{what} must be a number.")
    return float(value)
