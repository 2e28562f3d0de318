"""The report of an acceptance test: what was found in words, tables for the console, and a JSON file."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from spokestream.pipelines.acceptance.accepting import MeasuredLayout
from spokestream.pipelines.acceptance.measuring import Row
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity
from spokestream.whole_files import whole_file

__all__ = ["LARGE_MISFIT", "notes", "tables", "verdict", "where", "write_report"]

LARGE_MISFIT = 0.03
"""Deviation of a phantom's size that is worth a sentence; sizes are found to 1.2 %."""


def verdict(measured: Sequence[MeasuredLayout]) -> tuple[bool, str]:
    """Whether the test is passed, and a sentence that says so."""
    judged = [(one, row) for one in measured for row in one.rows if row.judged]
    failed = [(one, row) for one, row in judged if not row.passes]
    if not judged:
        return False, "Nothing was judged, because no limit holds for any value that the maps can show; give limits."
    if not failed:
        return True, f"The phantom passes: all {len(judged)} judged values are within their limits."
    maps = {name: [row.vial for _, row in failed if row.map == name] for name in QUANTITIES}
    words = "; ".join(
        f"{QUANTITIES[name].title} of {', '.join(vials[:4])}{f' and {len(vials) - 4} more' if len(vials) > 4 else ''}"
        for name, vials in maps.items()
        if vials
    )
    return False, f"The phantom fails: {len(failed)} of {len(judged)} judged values are outside their limits ({words})."


def where(one: MeasuredLayout) -> str:
    """What was found, where and how it lies, in a sentence or two."""
    pose, n = one.found.pose, len(one.layout.vials)
    angle = round(pose.angle_deg, 1) + 0.0  # never -0.0
    across = f"{abs(pose.x_mm):.1f} mm {'left' if pose.x_mm < 0 else 'right'}"
    along = f"{abs(pose.y_mm):.1f} mm {'up' if pose.y_mm < 0 else 'down'}"
    text = (
        f"{one.layout.title}: {n} vials found in slice {one.slice + 1}, {across} and {along} of the middle, turned by "
        f"{angle:.1f}°, size {pose.size:.3f} (likeness {one.found.likeness:.2f}; the next pose has "
        f"{one.found.rival:.2f})."
    )
    if pose.mirrored:
        text += " It is mirrored: the phantom is seen from its other side, or the images are mirrored."
    if abs(pose.size - 1) > LARGE_MISFIT:
        text += " Its size is not that of its layout: check the field of view and the gradients' calibration."
    return text


def notes(measured: Sequence[MeasuredLayout]) -> list[str]:
    """Sentences to read with the tables: why some values are not judged."""
    sentences: list[str] = []
    unshown: list[str] = []
    for name in dict.fromkeys(row.map for one in measured for row in one.rows):
        rows = [row for one in measured for row in one.rows if row.map == name]
        if any(not row.shown for row in rows):
            unshown.append(QUANTITIES[name].title)
        if not any(row.drifts for row in rows):
            sentences += dict.fromkeys(one.layout.notes[name] for one in measured if name in one.layout.notes)
    if unshown:
        sentences.insert(
            0, f"Vials in brackets are not judged: the maps of {', '.join(unshown)} cannot show their values."
        )
    return sentences


def tables(measured: Sequence[MeasuredLayout]) -> list[Table]:
    """Tables for the console: of every layout and map the means, and their changes if there is a baseline."""
    made = []
    for one in measured:
        for name in dict.fromkeys(row.map for row in one.rows):
            rows = [row for row in one.rows if row.map == name]
            made.append(_means(one.layout.title, QUANTITIES[name], rows))
            if any(row.baseline is not None for row in rows):
                made.append(_changes(one.layout.title, QUANTITIES[name], rows))
    return made


def _means(title: str, quantity: Quantity, rows: Sequence[Row]) -> Table:
    """The mean of every vial against its reference."""
    table = _table(f"{title}: {quantity.label}", ("voxels", "reference", "mean", "sd", "deviation", "limit"))
    for row in rows:
        values = (
            f"{row.reference:{quantity.digits}}",
            *(_text(value, quantity.digits) for value in (row.mean, row.sd)),
        )
        deviation, limit = _text(row.deviation, f"+{quantity.digits}"), _text(row.limit, quantity.digits, "± ")
        mark = "" if row.limit is None else _mark(row.accurate)
        table.add_row(_name(row), str(row.voxels), *values, deviation, limit, mark, style="" if row.shown else "dim")
    return table


def _changes(title: str, quantity: Quantity, rows: Sequence[Row]) -> Table:
    """The mean of every vial against that of the baseline."""
    table = _table(f"{title}: {quantity.label}, since the baseline", ("baseline", "mean", "change", "limit"))
    for row in rows:
        values = (_text(value, quantity.digits) for value in (row.baseline, row.mean))
        change, limit = _text(row.change, f"+{quantity.digits}"), _text(row.drift_limit, quantity.digits, "± ")
        mark = _mark(row.stable) if row.drifts else ""
        table.add_row(_name(row), *values, change, limit, mark, style="" if row.shown else "dim")
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_style="bold", header_style="bold")
    table.add_column("vial", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("")
    return table


def _text(value: float | None, form: str, before: str = "") -> str:
    return "–" if value is None or not math.isfinite(value) else f"{before}{value:{form}}"


def _name(row: Row) -> str:
    return row.vial if row.shown else f"({row.vial})"


def _mark(good: bool) -> str:
    return "[green]✓[/green]" if good else "[red]✗[/red]"


def write_report(path: Path, measured: Sequence[MeasuredLayout], about: dict[str, Any]) -> None:
    """Write verdict, poses and all rows as JSON. Raises FileError if the file cannot be written.

    Args:
        path: the file.
        measured: the layouts.
        about: what else is known of the test, for instance the scan and the pipeline.

    """
    passed, sentence = verdict(measured)
    content = {
        **about,
        "passed": passed,
        "verdict": sentence,
        "layouts": [
            {
                "title": one.layout.title,
                "slice": one.slice + 1,
                "pose": asdict(one.found.pose),
                "likeness": one.found.likeness,
                "rows": [_entry(row) for row in one.rows],
            }
            for one in measured
        ],
    }
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _entry(row: Row) -> dict[str, Any]:
    """A row without values that are not finite, which JSON does not have."""
    values = asdict(row) | {"deviation": row.deviation, "change": row.change, "passes": row.passes}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
