"""The report of a reconstruction: one HTML page that needs no network and no other file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spokestream.html_parts import page
from spokestream.pipelines.files.report import tables
from spokestream.pipelines.files.report.encoded_map import encode
from spokestream.pipelines.files.report.script import joined
from spokestream.pipelines.map_panels.browser_files import PANEL_FILES
from spokestream.pipelines.map_panels.colour_table import colour_table
from spokestream.pipelines.map_panels.shown_scan import ShownMap, ShownScan
from spokestream.simulator.physics.quantities import QUANTITIES

if TYPE_CHECKING:
    from spokestream.pipelines.files.outputs import ScanMaps

__all__ = ["report_page"]

HERE = Path(__file__).with_name("static")
SCRIPTS = {path.name: path for path in (*PANEL_FILES, *HERE.glob("*.js"))}
STYLES = [*(path for path in PANEL_FILES if path.suffix == ".css"), HERE / "report.css"]
BODY = (HERE / "maps.html").read_text("utf-8")
RARE = 0.5
"""The sliders of a window reach beyond it to the values that this percentage of the voxels is below, or above."""


def report_page(maps: "ScanMaps", report: Mapping[str, Any]) -> str:
    """The page of a reconstruction.

    Args:
        maps: the maps.
        report: the content of `report.json`; keys that are missing are left out of the page.

    """
    shown = ShownScan.from_maps(maps)
    names = [_slice_name(one) for one in shown.slices]
    n, height, width = next(iter(shown.volumes.values())).shape
    about = (
        f"Pipeline {report['pipeline']}, {n} slice{'' if n == 1 else 's'} of {width} × {height} pixels of "
        f"{shown.pixel_mm[0]:.2f} × {shown.pixel_mm[1]:.2f} mm."
    )
    numbers = [int(one["slice"]) for one in shown.slices]
    kinds = {kind for row in shown.integrity for kind in row} - {"map", "slice"}
    body = [
        f"<p>{escape(about)}</p>",
        _warnings(report.get("warnings", [])),
        BODY,
        _data(maps, shown),
        _section("Values in tissue", tables.values(shown.volumes, names)),
        _section(
            "Integrity",
            tables.counts(shown.integrity, dict(zip(numbers, names, strict=True)), _quality(maps, numbers)),
        ),
        _section("Reconstruction", tables.timings(report), tables.entries("Settings", report.get("parameters", {}))),
        _section(
            "Provenance", tables.provenance(shown.provenance),
            tables.entries("Software and machine", {**report.get("versions", {}), **report.get("machine", {})}),
        ),
        _section("Definitions", tables.definitions(shown.volumes, kinds)),
    ]  # fmt: skip
    style = "".join(path.read_text("utf-8") for path in STYLES)
    return page(f"Maps of {Path(str(report['source'])).name}", "".join(body), style, joined(SCRIPTS, "report.js"))


def _slice_name(one: Mapping[str, Any]) -> str:
    return f"Slice {one['slice'] + 1}" + (f", {one['position']}" if one["position"] else "")


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return "<p>There were no warnings.</p>"
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<section class="warned"><h2>Warnings</h2><ul>{items}</ul></section>'


def _quality(maps: "ScanMaps", numbers: Sequence[int]) -> dict[int, str]:
    """The verdict on each slice by its number; empty if there is none."""
    images = next(iter(maps.images.values()))
    found = {number: image.meta.get("spokestream_quality") for number, image in zip(numbers, images, strict=True)}
    return {number: str(text) for number, text in found.items() if text}


def _data(maps: "ScanMaps", shown: ShownScan) -> str:
    """The maps for the script of the page."""
    data = {
        **{key: value for key, value in shown.as_json().items() if key in ("shape", "slices", "pixel_mm")},
        "maps": [{**asdict(one), "reach": _reach(one, shown.volumes[one.name])} for one in shown.maps],
        "colours": {one.colours: colour_table(one.colours) for one in shown.maps},
        "encoded": {
            name: asdict(encode(QUANTITIES[name], maps.images[name], volume)) for name, volume in shown.volumes.items()
        },
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json" id="scan">{text}</script>'


def _reach(one: ShownMap, volume: NDArray[np.float32]) -> tuple[float, float]:
    """Ends of the sliders of a window: those of the window, or values that few voxels are beyond."""
    found = volume[np.isfinite(volume)]
    if one.logarithmic:
        found = found[found > 0]
    if not found.size:
        return one.low, one.high
    low, high = (float(value) for value in np.percentile(found, (RARE, 100 - RARE)))
    return min(one.low, low), max(one.high, high)
