"""The tables of a report, in HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.html_parts import table
from spokestream.pipelines.files.image_notes import counts_of_scan
from spokestream.pipelines.files.report.numbers import like, number
from spokestream.pipelines.files.report.terms import COUNTS, FIGURES, PROVENANCE, TIMINGS
from spokestream.simulator.physics.quantities import QUANTITIES

__all__ = ["counts", "definitions", "entries", "provenance", "timings", "values"]

Volume = NDArray[np.float32]


def values(maps: Mapping[str, Volume], slice_names: Sequence[str]) -> str:
    """Number of voxels, mean, spread and median of every map over the tissue; of all slices, then of each.

    Args:
        maps: name -> (slices, y, x) in the unit of the quantity, NaN where the map has no meaning.
        slice_names: names of the slices.

    """
    every = _values("All slices" if len(slice_names) > 1 else "The slice", maps)
    if len(slice_names) == 1:
        return every
    each = "".join(
        _values(name, {map_name: volume[z] for map_name, volume in maps.items()}) for z, name in enumerate(slice_names)
    )
    return f"{every}<details><summary>Each slice</summary>{each}</details>"


def _values(caption: str, maps: Mapping[str, Volume]) -> str:
    rows, has_spread = [], any(f"{name}_std" in maps for name in maps)
    for name, volume in maps.items():
        quantity, found = QUANTITIES[name], volume[np.isfinite(volume)].astype(np.float64)
        spread = maps.get(f"{name}_std", np.full(1, np.nan, np.float32))
        if quantity.is_check:
            continue
        middle = (found.mean(), np.median(found)) if found.size else (np.nan, np.nan)
        sd = number(float(found.std(ddof=1)) if found.size > 1 else np.nan, quantity.unit)
        mean, median = (like(float(figure), sd, quantity.unit) for figure in middle)
        expected = number(float(np.nanmedian(spread)) if np.isfinite(spread).any() else np.nan, quantity.unit)
        where = "" if quantity.where is None else f" where {quantity.validity}"
        cells = [str(found.size), mean, sd, median, expected]
        rows.append(_row(quantity.label + where, cells if has_spread else cells[:-1]))
    heads = ["map", *FIGURES]
    return table(caption, heads if has_spread else heads[:-1], rows)


def counts(rows: Sequence[Mapping[str, Any]], slice_names: Mapping[int, str], quality: Mapping[int, str]) -> str:
    """The counts of every slice, one row each; those of the pixels of a map are summed over the maps of the slice.

    Args:
        rows: map, slice and counts of every image.
        slice_names: the name of a slice by its number.
        quality: the verdict on a slice by its number.

    """
    of_slices = {z: counts_of_scan([dict(row) for row in rows if row["slice"] == z]) for z in slice_names}
    kinds = [kind for kind in COUNTS if any(kind in found for found in of_slices.values())]
    kinds += sorted({kind for found in of_slices.values() for kind in found} - COUNTS.keys())
    heads = ["slice", *(_words(kind) for kind in kinds), *(["quality"] if quality else [])]
    lines = [
        _row(name, [*(str(of_slices[z].get(kind, 0)) for kind in kinds), *([quality.get(z, "–")] if quality else [])])
        for z, name in slice_names.items()
    ]
    return _scrolling(table("Counts by slice", heads, lines))


def timings(report: Mapping[str, Any]) -> str:
    """Times, memory and numbers of what came in and out; empty if the report has none."""
    rows = []
    for key, (title, unit, meaning) in TIMINGS.items():
        if key in report:
            text = number(report[key], unit) if unit else str(report[key])
            text = f"{report[key]:.2f}" if unit == "s" else text
            rows.append(_row(title, [], f"{text} {unit}".strip(), meaning))
    return _texts(table("How long it took", ["", "value", "definition"], rows)) if rows else ""


def provenance(found: Mapping[str, str]) -> str:
    """The provenance of the maps, and the definition of every entry."""
    rows = [_row(_words(key), [], found[key], PROVENANCE.get(key, "")) for key in found]
    return _texts(table("How the maps were made", ["", "value", "definition"], rows))


def entries(caption: str, found: Mapping[str, Any]) -> str:
    """A table of names and values; empty if there are none."""
    rows = [_row(key, [], str(value)) for key, value in found.items()]
    return _texts(table(caption, ["", "value"], rows)) if rows else ""


def definitions(maps: Iterable[str], kinds: Iterable[str]) -> str:
    """The meaning of every map and column, and of the counts of these kinds."""
    of_maps = {QUANTITIES[name].title: _meaning(name) for name in maps}
    of_counts = {_words(kind): COUNTS[kind] for kind in COUNTS if kind in set(kinds)}
    parts = (("Maps", of_maps), ("Table of values", FIGURES), ("Counts", of_counts))
    return "".join(f"<h3>{title}</h3>{_list(of_them)}" for title, of_them in parts if of_them)


def _meaning(name: str) -> str:
    quantity = QUANTITIES[name]
    unit = "" if quantity.unit in ("1", "a.u.") else f" Its unit is {quantity.unit}."
    where = "" if quantity.where is None else f" It has a meaning where {quantity.validity}."
    codes = [f"{code:+d} {meaning}" if code else f"0 {meaning}" for code, meaning in (quantity.codes or {}).items()]
    return f"{quantity.meaning}{unit}{where}" + (f" Its codes are: {'; '.join(codes)}." if codes else "")


def _list(of_them: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in of_them.items()) + "</dl>"


def _row(head: str, numbers: Iterable[str], *texts: str) -> str:
    cells = [f"<td>{escape(text)}</td>" for text in numbers]
    cells += [f'<td class="text">{escape(text)}</td>' for text in texts]
    return f'<th scope="row">{escape(head)}</th>{"".join(cells)}'


def _texts(made: str) -> str:
    """A table whose columns hold texts."""
    return f'<div class="texts">{made}</div>'


def _scrolling(made: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Counts by slice">{made}</div>'


def _words(key: str) -> str:
    return key.replace("_", " ")
