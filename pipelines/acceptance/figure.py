"""The figure of an acceptance test: numbered vials on each map, measured against reference, and deviations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from spokestream.pipelines.acceptance.accepting import MeasuredLayout
from spokestream.pipelines.acceptance.measuring import Row
from spokestream.pipelines.files.outputs import ScanMaps
from spokestream.simulator.physics.colour_scales import colour_map, colour_scale, scale_ticks, shown_range
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity

__all__ = ["acceptance_figure"]

Float = NDArray[np.float64]

INK, PAPER, FAINT = "#e8e8ec", "#1b1b22", "#5b5b66"
GOOD, BAD, UNJUDGED = "#7bd88f", "#ff6b6b", "#8fa3bf"
ROW_INCHES, WIDTH_INCHES, DPI = 4.0, 15.0, 110
MARGIN_MM = 12.0
"""Width of what is shown around the vials."""
MOST_NUMBERED = 40
"""With more vials, only those that fail are numbered in the two plots."""


def acceptance_figure(path: Path, maps: ScanMaps, measured: Sequence[MeasuredLayout]) -> None:
    """Write a PNG with a row of three panels for every layout and map.

    The panels are the map with the numbered vials, the means against the reference values, and the deviations from the
    reference against the mean of both (Bland and Altman, Lancet 1986;327:307) with their mean and 1.96 standard
    deviations.
    """
    shown = [(one, name) for one in measured for name in dict.fromkeys(row.map for row in one.rows)]
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * len(shown)), facecolor=PAPER, layout="constrained")
    grid = figure.add_gridspec(len(shown), 3, width_ratios=(1, 1.15, 1.15))
    for i, (one, name) in enumerate(shown):
        rows, quantity = [row for row in one.rows if row.map == name], QUANTITIES[name]
        axes = [figure.add_subplot(grid[i, column], facecolor=PAPER) for column in range(3)]
        _show_map(axes[0], maps, one, rows, quantity)
        plotted = [row for row in rows if row.shown and np.isfinite(row.mean)]
        _plot_means(axes[1], plotted, quantity)
        _plot_deviations(axes[2], plotted, quantity)
        for panel in axes[1:]:
            _name_ticks(panel)
            panel.tick_params(colors=INK, which="both", labelsize=9)
            panel.grid(color=FAINT, alpha=0.4, linewidth=0.5)
            for spine in panel.spines.values():
                spine.set_color(FAINT)
    figure.savefig(path, facecolor=PAPER, dpi=DPI)


def _show_map(axes: Axes, maps: ScanMaps, one: MeasuredLayout, rows: Sequence[Row], quantity: Quantity) -> None:
    values = maps.values[quantity.name][one.slice]
    y, x = one.grid.axes_mm()
    height, width = one.grid.pixel_mm
    extent = (x[0] - width / 2, x[-1] + width / 2, y[-1] + height / 2, y[0] - height / 2)
    scale = colour_scale(quantity, *shown_range(quantity, values[np.isfinite(values)]))
    picture = axes.imshow(
        values, cmap=colour_map(quantity.colours), norm=scale, extent=extent, interpolation="nearest", aspect="equal"
    )
    colours = axes.figure.colorbar(picture, ax=axes, shrink=0.9, pad=0.02)
    colours.ax.tick_params(colors=INK, which="both", labelsize=8)
    colours.outline.set_visible(False)
    ticks = scale_ticks(scale)
    colours.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    colours.minorticks_off()
    for row, (x_mm, y_mm), vial in zip(rows, one.centres_mm, one.layout.vials, strict=True):
        inner = vial.radius_mm - max(one.grid.pixel_mm)
        axes.add_patch(
            Circle((x_mm, y_mm), inner, fill=False, edgecolor=_colour(row.judged, row.passes), linewidth=1.3)
        )
        number = axes.text(x_mm, y_mm, str(row.number), color="white", fontsize=7, ha="center", va="center")
        number.set_path_effects([withStroke(linewidth=1.8, foreground="black")])
    reach = MARGIN_MM + max(vial.radius_mm for vial in one.layout.vials)
    low, high = one.centres_mm.min(0) - reach, one.centres_mm.max(0) + reach
    axes.set_xlim(max(low[0], extent[0]), min(high[0], extent[1]))
    axes.set_ylim(min(high[1], extent[2]), max(low[1], extent[3]))
    axes.set_axis_off()
    axes.set_title(f"{quantity.label}, slice {one.slice + 1}\n{one.layout.title}", color=INK, fontsize=10)


def _plot_means(axes: Axes, rows: Sequence[Row], quantity: Quantity) -> None:
    axes.set_title("Mean and standard deviation against reference", color=INK, fontsize=10)
    axes.set_xlabel(f"reference, {quantity.label}", color=INK)
    axes.set_ylabel(f"mean, {quantity.label}", color=INK)
    if not rows:
        return
    reference = np.array([row.reference for row in rows])
    order = np.argsort(reference)
    limits = np.array([np.nan if row.limit is None else row.limit for row in rows])
    if np.isfinite(limits).any():
        low, high = (reference - limits)[order], (reference + limits)[order]
        axes.fill_between(reference[order], low, high, color=GOOD, alpha=0.18, linewidth=0, label="limit")
    axes.plot(reference[order], reference[order], color=INK, linewidth=0.8, label="identity")
    for row in rows:
        axes.errorbar(
            row.reference,
            row.mean,
            row.sd,
            color=_colour(row.limit is not None, row.accurate),
            marker="o",
            markersize=4,
            linewidth=1,
        )
    if quantity.logarithmic and reference.min() > 0 and reference.max() > 4 * reference.min():
        axes.set_xscale("log")
        axes.set_yscale("log")
    _number(axes, rows, reference, np.array([row.mean for row in rows]))
    axes.legend(facecolor=PAPER, edgecolor=FAINT, labelcolor=INK, fontsize=8, loc="upper left")


def _plot_deviations(axes: Axes, rows: Sequence[Row], quantity: Quantity) -> None:
    percent = quantity.logarithmic
    axes.set_title("Deviation from reference (Bland-Altman)", color=INK, fontsize=10)
    axes.set_xlabel(f"mean of both, {quantity.label}", color=INK)
    axes.set_ylabel("deviation (% of the mean of both)" if percent else f"deviation, {quantity.label}", color=INK)
    if not rows:
        return
    middle = np.array([(row.mean + row.reference) / 2 for row in rows])
    deviation = np.array([row.deviation for row in rows])
    if percent:
        deviation = 100 * deviation / middle
    for row, x, y in zip(rows, middle, deviation, strict=True):
        axes.plot(x, y, "o", color=_colour(row.limit is not None, row.accurate), markersize=5)
    mean = float(deviation.mean())
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axhline(mean, color=UNJUDGED, linewidth=1, label=f"mean {mean:+.3g}")
    if len(rows) > 2:
        spread = 1.96 * float(deviation.std(ddof=1))
        for line, label in ((mean - spread, f"mean ± {spread:.3g} (1.96 sd)"), (mean + spread, None)):
            axes.axhline(line, color=UNJUDGED, linewidth=1, linestyle="--", label=label)
    if percent and middle.max() > 4 * middle.min():
        axes.set_xscale("log")
    _number(axes, rows, middle, deviation)
    axes.legend(facecolor=PAPER, edgecolor=FAINT, labelcolor=INK, fontsize=8, loc="best")


def _name_ticks(axes: Axes) -> None:
    """Write the ticks of logarithmic axes as plain numbers, and few of them."""
    for axis, scale, (low, high) in (
        (axes.xaxis, axes.get_xscale(), axes.get_xlim()),
        (axes.yaxis, axes.get_yscale(), axes.get_ylim()),
    ):
        if scale == "log":
            ticks = scale_ticks(LogNorm(low, high))
            axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
            axis.set_minor_locator(NullLocator())


def _number(axes: Axes, rows: Sequence[Row], x: Float, y: Float) -> None:
    few = len(rows) <= MOST_NUMBERED
    for row, at_x, at_y in zip(rows, x, y, strict=True):
        if few or not row.accurate:
            axes.annotate(
                str(row.number), (at_x, at_y), xytext=(4, 4), textcoords="offset points", color=INK, fontsize=7
            )


def _colour(judged: bool, good: bool) -> str:
    return (GOOD if good else BAD) if judged else UNJUDGED
