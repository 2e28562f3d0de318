"""Figures of maps: an overview of a scan, and a comparison with the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spokestream.simulator.physics.quantities import QUANTITIES, Quantity

__all__ = ["comparison_figure", "overview_figure"]

Volume = NDArray[np.float32]
INK, PAPER = "#e8e8ec", "#111116"
MAX_ROWS = 5
DPI = 160
MARGIN = 4  # pixels around the anatomy


def overview_figure(path: Path, maps: Mapping[str, Volume], pixel_aspect: float = 1.0) -> None:
    """Write a PNG with one column per map and one row per slice, at most five rows, with fixed ranges of values.

    Args:
        path: path of the PNG.
        maps: name -> (slices, y, x) in the map's unit.
        pixel_aspect: height of a pixel over its width.

    """
    foreground = shown_foreground(maps)
    n_slices = len(foreground)
    rows = np.unique(np.linspace(0, n_slices - 1, min(MAX_ROWS, n_slices)).round().astype(int))
    crop = _crop(foreground)
    figure, axes = _panels(len(rows), len(maps), foreground[0][crop].shape, pixel_aspect)
    for column, (name, volume) in enumerate(maps.items()):
        quantity = QUANTITIES[name]
        limits = _limits(quantity, volume[foreground])
        for row, z in enumerate(rows):
            shown = np.where(foreground[z], volume[z], np.nan)[crop]
            picture = _show(axes[row, column], shown, quantity.colours, limits, pixel_aspect)
        axes[0, column].set_title(quantity.title, color=INK, fontsize=11, pad=7)
        _colour_bar(figure, picture, axes[:, column], quantity)
    if n_slices > 1:
        for row, z in enumerate(rows):
            axes[row, 0].set_ylabel(f"slice {z + 1}", color=INK, fontsize=10)
    figure.savefig(path, facecolor=PAPER, dpi=DPI, bbox_inches="tight", pad_inches=0.15)


def comparison_figure(
    path: Path,
    maps: Mapping[str, Volume],
    truth: Mapping[str, Volume],
    judged: Mapping[str, NDArray[np.bool_]],
    slice_index: int,
    pixel_aspect: float = 1.0,
) -> None:
    """Write a PNG of one slice with one row per map: the reconstructed map, the truth, and the error.

    Args:
        path: path of the PNG.
        maps: name -> (slices, y, x), the reconstructed maps.
        truth: name -> (slices, y, x), the simulated maps.
        judged: name -> (slices, y, x), the mask in which the map has a meaning.
        slice_index: index of the slice.
        pixel_aspect: height of a pixel over its width.

    """
    names = [name for name in QUANTITIES if name in maps and name in truth and name in judged]
    z = slice(slice_index, slice_index + 1)
    foreground = np.any([judged[name][z] for name in names], axis=0)
    crop = _crop(foreground)
    figure, axes = _panels(
        len(names), 3, foreground[0][crop].shape, pixel_aspect, bars=1.4
    )  # inches for the colour bars
    for row, name in enumerate(names):
        quantity = QUANTITIES[name]
        limits = _limits(quantity, truth[name][z][foreground])
        reach = (limits[1] - limits[0]) / 5
        inside = judged[name][slice_index]
        error = maps[name][slice_index] - truth[name][slice_index]
        for column, (values, mask, colours, span) in enumerate(
            (
                (maps[name][slice_index], inside, quantity.colours, limits),
                (truth[name][slice_index], inside, quantity.colours, limits),
                (error, inside, "coolwarm", (-reach, reach)),
            )
        ):
            picture = _show(axes[row, column], np.where(mask, values, np.nan)[crop], colours, span, pixel_aspect)
            if column:
                _colour_bar(figure, picture, axes[row, column], quantity, location="right")
        axes[row, 0].set_ylabel(quantity.title, color=INK, fontsize=10)
    for column, title in enumerate(("reconstructed", "truth", "error")):
        axes[0, column].set_title(title, color=INK, fontsize=11, pad=7)
    figure.savefig(path, facecolor=PAPER, dpi=DPI, bbox_inches="tight", pad_inches=0.15)


def shown_foreground(maps: Mapping[str, Volume]) -> NDArray[np.bool_]:
    """The mask (slices, y, x) in which any map has a value; outside the anatomy, all maps are 0."""
    return np.asarray(np.any([volume != 0 for volume in maps.values()], axis=0))


def _panels(
    rows: int, columns: int, shape: Sequence[int], aspect: float, bars: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    height, width = shape[0] * aspect, shape[1]
    scale = 1.9 / max(height, width * 0.6)
    figure = Figure(figsize=(columns * (width * scale + 0.25) + 0.4 + bars, rows * (height * scale + 0.15) + 0.9))
    figure.set_layout_engine("compressed", w_pad=0.06, h_pad=0.06, wspace=0.02, hspace=0.02)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show(axes: Axes, values: Volume, colours: str, limits: tuple[float, float], aspect: float) -> Any:
    axes.set_facecolor(PAPER)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    low, high = limits
    return axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect=aspect, interpolation="nearest")


def _colour_bar(figure: Figure, picture: Any, axes: Any, quantity: Quantity, location: str = "bottom") -> None:
    bar = figure.colorbar(picture, ax=axes, location=location, shrink=0.85, aspect=28, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)
    bar.locator = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 3, 4, 5, 10])
    bar.update_ticks()
    if quantity.unit != "1":
        bar.set_label(quantity.unit, color=INK, fontsize=9)


def _limits(quantity: Quantity, values: NDArray[np.float32]) -> tuple[float, float]:
    if quantity.high is not None:
        return quantity.low, quantity.high
    high = float(np.percentile(values, 99.5)) if values.size else 1.0
    return quantity.low, high if high > quantity.low else quantity.low + 1


def _crop(foreground: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The bounding box of the anatomy over all slices, with a margin; the whole image if the mask is empty."""
    box = []
    for axis in (1, 2):
        hit = np.flatnonzero(foreground.any(axis=tuple({0, 1, 2} - {axis})))
        size = foreground.shape[axis]
        box.append(slice(max(0, hit[0] - MARGIN), min(size, hit[-1] + 1 + MARGIN)) if hit.size else slice(0, size))
    return box[0], box[1]
