"""Figures of maps: an overview of a scan, its checks, and a comparison with the truth."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from spokestream.pipelines.files.plane import UNKNOWN_PLANE, Plane
from spokestream.simulator.physics.colour_scales import INVALID, colour_map, colour_scale, scale_ticks, shown_range
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity

__all__ = ["comparison_figure", "maps_figure"]

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

INK, PAPER = "#e8e8ec", "#1b1b22"
MOST_SLICES = 5
COLUMNS = 3
DPI = 150
MARGIN = 4  # pixels around the anatomy
ERROR_REACH = 0.2  # of the window of a map
MOST_CODES = 4  # that are listed beside a map of codes
CODE_LETTERS = 13  # of a line of what a code means

PANEL, BAR = 2.9, 0.1
"""Width of a map and of its colour bar in inches; the lengths below are in inches, too."""
BESIDE, ABOVE, EDGE, HEADING = 0.75, 0.34, 0.25, 0.4
"""Room beside a map for its bar, above a map for its title, at the edge of the figure, and for a heading."""


@dataclass(frozen=True)
class _Panel:
    title: str
    values: Volume
    """(y, x), NaN where the map has no meaning."""
    colours: str
    scale: Normalize
    codes: Mapping[int, str] | None = None
    """What each value stands for if values are codes, which have a list instead of a colour bar."""


@dataclass(frozen=True)
class _Block:
    """The panels of one slice."""

    heading: str
    panels: Sequence[_Panel]
    plane: Plane


def maps_figure(
    path: Path, maps: Mapping[str, Volume], valid: Mapping[str, Mask], planes: Sequence[Plane] | None = None
) -> None:
    """Write a PNG with three maps a row and at most five slices, one below the other, with fixed ranges of values.

    Args:
        path: path of the PNG.
        maps: name -> (slices, y, x) in the map's unit.
        valid: name -> (slices, y, x), the mask in which the map has a meaning; the picture is black elsewhere.
        planes: the plane of every slice.

    """
    shown = np.any(list(valid.values()), axis=0)
    crop, n_slices = _crop(shown), len(shown)
    scales = {name: _scale(QUANTITIES[name], volume[valid[name]]) for name, volume in maps.items()}
    blocks = []
    for z in np.unique(np.linspace(0, n_slices - 1, min(MOST_SLICES, n_slices)).round().astype(int)):
        plane = planes[z] if planes else UNKNOWN_PLANE
        panels = [
            _map_panel(QUANTITIES[name], volume[z], valid[name][z], crop, scales[name]) for name, volume in maps.items()
        ]
        blocks.append(_Block(_heading(z, n_slices, plane), panels, plane))
    _draw(path, blocks)


def comparison_figure(
    path: Path,
    maps: Mapping[str, Volume],
    truth: Mapping[str, Volume],
    judged: Mapping[str, Mask],
    slice_index: int,
    plane: Plane = UNKNOWN_PLANE,
) -> None:
    """Write a PNG of one slice with one row per map: the reconstructed map, the truth, and the error.

    Args:
        path: path of the PNG.
        maps: name -> (slices, y, x), the reconstructed maps.
        truth: name -> (slices, y, x), the simulated maps.
        judged: name -> (slices, y, x), the mask in which the map has a meaning.
        slice_index: index of the slice.
        plane: the plane of the slice.

    """
    z = slice_index
    names = [name for name in QUANTITIES if name in maps and name in truth and name in judged]
    foreground = np.any([judged[name][z] for name in names], axis=0)
    crop = _crop(foreground[None])
    panels = []
    for name in names:
        quantity, mask = QUANTITIES[name], judged[name][z]
        scale = _scale(quantity, truth[name][z][foreground])
        reach = ERROR_REACH * (float(scale.vmax or 1) - float(scale.vmin or 0))
        error = np.where(mask, maps[name][z] - truth[name][z], np.nan)[crop]
        panels += [
            _map_panel(quantity, maps[name][z], mask, crop, scale),
            _map_panel(quantity, truth[name][z], mask, crop, scale, "truth"),
            _Panel("error", error, "coolwarm", Normalize(-reach, reach)),
        ]
    _draw(path, [_Block(_heading(z, len(maps[names[0]]), plane), panels, plane)])


def _heading(z: int, n_slices: int, plane: Plane) -> str:
    return f"slice {z + 1} of {n_slices}" + (f", {plane.position}" if plane.position else "")


def _map_panel(
    quantity: Quantity, values: Volume, mask: Mask, crop: tuple[slice, slice], scale: Normalize, title: str = ""
) -> _Panel:
    shown = np.where(mask, values, np.nan)[crop]
    return _Panel(title or quantity.label, shown, quantity.colours, scale, quantity.codes)


def _draw(path: Path, blocks: Sequence[_Block]) -> None:
    """Write the blocks below each other; all panels of a figure have the same size."""
    rows, columns = blocks[0].panels[0].values.shape
    height = PANEL * rows / columns * blocks[0].plane.pixel_aspect
    n_rows = [-(-len(block.panels) // COLUMNS) for block in blocks]
    total = 2 * EDGE + sum(HEADING + n * (ABOVE + height) for n in n_rows)
    across = min(COLUMNS, max(len(block.panels) for block in blocks))
    width = 2 * EDGE + across * (PANEL + BESIDE)
    figure = Figure(figsize=(width, total), facecolor=PAPER)
    top = EDGE
    for block, n in zip(blocks, n_rows, strict=True):
        figure.text(
            EDGE / width,
            1 - (top + HEADING / 2) / total,
            block.heading,
            color=INK,
            fontsize=12,
            weight="bold",
            va="center",
        )
        top += HEADING
        for i, panel in enumerate(block.panels):
            row, column = divmod(i, COLUMNS)
            left = EDGE + column * (PANEL + BESIDE)
            bottom = total - top - (row + 1) * (ABOVE + height)
            box = (left / width, bottom / total, PANEL / width, height / total)
            bar = ((left + PANEL + 0.06) / width, bottom / total, BAR / width, height / total)
            _draw_panel(figure, box, bar, panel, block.plane)
        top += n * (ABOVE + height)
    figure.savefig(path, facecolor=PAPER, dpi=DPI)


def _draw_panel(
    figure: Figure,
    box: tuple[float, float, float, float],
    bar: tuple[float, float, float, float],
    panel: _Panel,
    plane: Plane,
) -> None:
    axes = figure.add_axes(box)
    axes.set_facecolor(INVALID)
    axes.set_axis_off()
    picture = axes.imshow(
        panel.values, cmap=colour_map(panel.colours), norm=panel.scale, aspect="auto", interpolation="nearest"
    )
    axes.set_title(panel.title, color=INK, fontsize=11, pad=5)
    for letters, x, y in (
        (plane.left, 0.03, 0.5),
        (plane.right, 0.97, 0.5),
        (plane.top, 0.5, 0.96),
        (plane.bottom, 0.5, 0.04),
    ):
        text = axes.text(x, y, letters, transform=axes.transAxes, color=INK, fontsize=9, ha="center", va="center")
        text.set_path_effects([withStroke(linewidth=2, foreground=INVALID)])
    if panel.codes:
        _list_codes(figure, bar, panel, panel.codes)
        return
    colours = figure.colorbar(picture, cax=figure.add_axes(bar))
    colours.outline.set_visible(False)
    ticks = scale_ticks(panel.scale)
    colours.set_ticks(ticks, labels=[f"{tick:.3g}" if abs(tick) < 1000 else f"{tick:.0f}" for tick in ticks])
    colours.minorticks_off()
    colours.ax.tick_params(colors=INK, labelsize=8, length=2)


def _list_codes(
    figure: Figure, bar: tuple[float, float, float, float], panel: _Panel, meanings: Mapping[int, str]
) -> None:
    """Write what the most frequent codes of a panel mean, with their colours, where others have their colour bar."""
    left, bottom, width, height = bar
    codes, counts = np.unique(panel.values[np.isfinite(panel.values)], return_counts=True)
    for i, code in enumerate(codes[np.argsort(-counts)][:MOST_CODES]):
        y = bottom + height * (1 - (i + 0.5) / MOST_CODES)
        colour = colour_map(panel.colours)(panel.scale(code))
        figure.text(left, y, "\u25a0", color=colour, fontsize=11, va="center")
        words = textwrap.fill(meanings.get(int(code), f"{code:.0f}"), CODE_LETTERS, break_on_hyphens=False)
        figure.text(left + 1.5 * width, y, words, color=INK, fontsize=6, va="center")


def _scale(quantity: Quantity, values: NDArray[np.float32]) -> Normalize:
    return colour_scale(quantity, *shown_range(quantity, values))


def _crop(foreground: Mask) -> tuple[slice, slice]:
    """The bounding box of the anatomy over all slices, with a margin; the whole image if the mask is empty."""
    box = []
    for axis in (1, 2):
        hit = np.flatnonzero(foreground.any(axis=tuple({0, 1, 2} - {axis})))
        size = foreground.shape[axis]
        box.append(slice(max(0, hit[0] - MARGIN), min(size, hit[-1] + 1 + MARGIN)) if hit.size else slice(0, size))
    return box[0], box[1]
