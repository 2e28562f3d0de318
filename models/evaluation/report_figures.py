"""The figures of an evaluation."""

from collections.abc import Sequence
from itertools import chain, cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from spokestream.models.evaluation.evaluating import TRUTH, Condition
from spokestream.models.evaluation.metrics import bland_altman
from spokestream.models.evaluation.scores import BLUR_THRESHOLDS, Verdict
from spokestream.simulator.physics.colour_scales import INVALID, colour_map, colour_scale, scale_ticks
from spokestream.simulator.physics.quantities import masked
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["blur_figure", "calibration_figure", "condition_figures", "maps_figure", "regions_figure"]

INK, FAINT = "#22222a", "#b4b4bc"
COLOURS = ("#3b6fb6", "#d1603d", "#3f9c6c", "#8a5fb0", "#c49a2b", "#4aa5b8", "#a8475f")
MARGIN = 4  # pixels around the anatomy
ERROR_REACH = 0.2  # of a map's window


def condition_figures(condition: Condition) -> dict[str, Figure]:
    """All figures of one set of subjects by name, in the order in which they are shown."""
    figures = {"maps": maps_figure(condition)}
    for name, verdict in condition.verdicts.items():
        figures[f"regions {name}"] = regions_figure(verdict)
    figures["blurriness"] = blur_figure(condition)
    if any(verdict.calibration for verdict in condition.verdicts.values()):
        figures["calibration"] = calibration_figure(condition)
    return figures


def maps_figure(condition: Condition) -> Figure:
    """The middle slice of the first subject: one row for the truth, and one with maps and errors per reconstructor."""
    parameters = condition.model.parameters
    tissue, truth = condition.tissue, condition.truth.example
    crop = _box(tissue)
    height, width = tissue[crop].shape
    rows = _with_truth(condition)
    figure = Figure(figsize=(2 * 2 * len(parameters), 2 * height / width * len(rows) + 1), layout="compressed")
    axes = figure.subplots(len(rows), 2 * len(parameters), squeeze=False)
    for parameter, columns in zip(parameters, axes.T.reshape(len(parameters), 2, len(rows)), strict=True):
        name, quantity = parameter.name, parameter.quantity
        assert quantity.high is not None
        reach = ERROR_REACH * (quantity.high - quantity.low)
        judged = masked(quantity.where, tissue, truth)
        for (_, verdict), left, right in zip(rows, *columns, strict=True):
            found = verdict.example.get(name, np.full(tissue.shape, np.nan, np.float32))
            scale = colour_scale(quantity, quantity.low, quantity.high)
            picture = _show(left, np.where(judged, found, np.nan)[crop], quantity.colours, scale)
            difference = np.where(judged, found - truth[name], np.nan)
            error = _show(right, difference[crop], "coolwarm", Normalize(-reach, reach))
        columns[0, 0].set_title(quantity.label, color=INK)
        columns[1, 0].set_visible(False)  # the truth has no error
        columns[1, 1].set_title("error", color=INK)
        for shown, column in zip((picture, error), columns, strict=True):
            bar = figure.colorbar(shown, ax=column, location="bottom", shrink=0.8, pad=0.01, aspect=20)
            ticks = scale_ticks(shown.norm)
            bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
            bar.minorticks_off()
    for (name, _), axis in zip(rows, axes[:, 0], strict=True):
        axis.set_ylabel(name.replace(", ", ",\n"), color=INK)
    return figure


def regions_figure(verdict: Verdict) -> Figure:
    """Means of regions: above, reconstructed against true means; below, their differences (Bland and Altman)."""
    figure, axes = _panels(verdict.model, 2)
    for (above, below), parameter in zip(axes.T, verdict.model.parameters, strict=True):
        pairs = verdict.against(TRUTH).regions.get(parameter.name, [])
        prediction, truth = np.hstack([np.zeros((2, 0)), *pairs])
        above.set_title(parameter.quantity.label, color=INK, fontsize=10)
        if not prediction.size:
            continue
        for axis, y in ((above, prediction), (below, prediction - truth)):
            axis.scatter(truth, y, s=5, color=COLOURS[0], alpha=0.35, linewidths=0, rasterized=True)
        above.axline((truth.mean(), truth.mean()), slope=1, color=INK, linewidth=0.8)
        limits = bland_altman(prediction, truth)
        for value, style in ((limits.mean, "-"), (limits.low, "--"), (limits.high, "--")):
            below.axhline(value, color=INK, linewidth=0.8, linestyle=style)
            place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
            below.annotate(f"{value:.3g}", (1, value), fontsize=7, **place)
        below.set_xlabel("truth", color=INK)
    axes[0, 0].set_ylabel("reconstructed", color=INK)
    axes[1, 0].set_ylabel("reconstructed - truth", color=INK)
    return figure


def blur_figure(condition: Condition) -> Figure:
    """The fraction of energy above a spatial frequency: mean and standard deviation over slices; lower is smoother."""
    figure, axes = _panels(condition.model, 1)
    for axis, parameter in zip(axes[0], condition.model.parameters, strict=True):
        for (label, verdict), colour in zip(_with_truth(condition), chain([INK], cycle(COLOURS)), strict=False):
            curves = np.array(verdict.blur.get(parameter.name, np.zeros((0, len(BLUR_THRESHOLDS)))))
            if not len(curves):
                continue
            mean, std = curves.mean(axis=0), curves.std(axis=0)
            axis.plot(100 * BLUR_THRESHOLDS, mean, color=colour, linewidth=1.2, label=label)
            axis.fill_between(100 * BLUR_THRESHOLDS, mean - std, mean + std, color=colour, alpha=0.15, lw=0)
        axis.set_title(parameter.quantity.title, color=INK, fontsize=10)
        axis.set_xlabel("threshold, % of the highest frequency", color=INK, fontsize=8)
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("energy beyond", color=INK)
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def calibration_figure(condition: Condition) -> Figure:
    """Root mean square errors against the expected standard deviations. On the line, they are equal."""
    figure, axes = _panels(condition.model, 1)
    for axis, parameter in zip(axes[0], condition.model.parameters, strict=True):
        name = parameter.name
        axis.set_title(parameter.quantity.label, color=INK, fontsize=10)
        seen = []
        for (label, verdict), colour in zip(condition.verdicts.items(), cycle(COLOURS), strict=False):
            if name in verdict.calibration and (result := verdict.calibration[name].result())["expected"]:
                axis.plot(
                    result["expected"], result["found"], "o-", color=colour, markersize=3, linewidth=1, label=label
                )
                seen += [*result["expected"], *result["found"]]
        if seen and min(seen) > 0:
            span = (min(seen), max(seen))
            axis.plot(span, span, color=FAINT, linewidth=0.8, zorder=0)
            axis.set(xscale="log", yscale="log")
            for side in (axis.xaxis, axis.yaxis):
                side.set_major_locator(LogLocator(subs=(1, 2, 5)))
                side.set_major_formatter("{x:g}")
                side.set_minor_locator(NullLocator())
            axis.legend(fontsize=7, frameon=False)
        axis.set_xlabel("expected standard deviation", color=INK, fontsize=8)
    axes[0, 0].set_ylabel("root mean square error", color=INK)
    return figure


def _with_truth(condition: Condition) -> Sequence[tuple[str, Verdict]]:
    return [(TRUTH, condition.truth), *condition.verdicts.items()]


def _panels(model: TissueModel, rows: int) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(2.6 * len(model.parameters), 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, len(model.parameters), squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK, labelsize=7)
    return figure, axes


def _show(axis: Axes, values: NDArray[np.float32], colours: str, scale: Normalize) -> Any:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_facecolor(INVALID)
    return axis.imshow(values, cmap=colour_map(colours), norm=scale, interpolation="nearest")


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The bounding box of a mask with a margin; the whole image if the mask is empty."""
    sides = []
    for across, n in zip((1, 0), mask.shape, strict=True):
        hit = np.flatnonzero(mask.any(axis=across))
        sides.append(slice(max(0, hit[0] - MARGIN), min(n, hit[-1] + 1 + MARGIN)) if hit.size else slice(0, n))
    return sides[0], sides[1]
