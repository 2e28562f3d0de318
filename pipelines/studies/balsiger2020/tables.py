"""The tables and figures of the study, with the values of the paper beside where it prints them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spokestream.models.evaluation.published import PUBLISHED
from spokestream.models.evaluation.reconstructors import MATCHING
from spokestream.models.training.validation import overall
from spokestream.pipelines.studies.balsiger2020.sizes import Sizes, designs, draws
from spokestream.pipelines.studies.study import Numbers, Results, Table
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = [
    "capacity_figure", "capacity_table", "error", "errors_of_draws", "frames_figure", "frames_table", "most_important",
    "named", "subjects_figure", "subjects_table", "table_2", "truth_table", "unseen_r2", "unseen_table",
]  # fmt: skip

NAMES = WATER_FAT.names
TITLES = [parameter.quantity.symbol or parameter.name for parameter in WATER_FAT.parameters]
METRICS = {"nrmse": ("NRMSE", ".3f"), "psnr": ("PSNR, dB", ".1f"), "ssim": ("SSIM", ".3f"), "r2": ("R²", ".3f")}
"""Metric -> its title and the format of its values."""
UNSEEN_PUBLISHED = {
    "balsiger2020": (0.978, 0.862, 0.804, 0.991, 0.989),
    "fang2019": (0.973, 0.758, 0.787, 0.970, 0.980),
    "oksuz2019": (0.746, 0.409, 0.420, 0.862, 0.760),
}
"""R² of the paper's Table 4, over one shoulder, one abdomen and one pelvis."""


def error(results: Results, name: str, reference: str) -> float:
    """The geometric mean of the five maps' NRMSE of a network in the test."""
    return overall(results["test"][name][reference]["nrmse"])


def table_2(sizes: Sizes, results: Results) -> Table:
    """The networks that were trained on matching, judged against matching as in the paper."""
    rows = []
    for metric, (title, style) in METRICS.items():
        for network in sizes.networks:
            scores = results["test"][f"{network}-matching"]["matching"][metric]
            paper = PUBLISHED[network][metric]
            rows.append((f"{title} {network}", *(f"{_text(scores[n], style)} ({paper[n]:{style}})" for n in NAMES)))
    caption = "Table 2: trained on matching and compared with matching, mean of the test subjects (paper)"
    return Table(caption, ("", *TITLES), rows)


def truth_table(sizes: Sizes, results: Results) -> Table:
    """The errors against the truth of matching, and of the networks by what they were trained on."""
    test = results["test"]
    labels = {MATCHING: MATCHING} | {
        f"{network}-{targets}": f"{network}, trained on {'the truth' if targets == 'truth' else targets}"
        for network in sizes.networks
        for targets in ("matching", "truth")
    }
    rows = [
        (label, *(_text(test[name]["truth"]["nrmse"][n], ".3f") for n in NAMES), f"{test[name]['seconds']:.2f}")
        for name, label in labels.items()
    ]
    return Table("The same test against the truth: NRMSE, and seconds per slice", ("", *TITLES, "s"), rows)


def capacity_table(sizes: Sizes, results: Results) -> Table:
    """The error by receptive field and number of parameters."""
    built = designs(sizes)
    rows = [
        (
            str(field),
            *(
                f"{error(results, built[field, n], 'matching'):.3f} / {error(results, built[field, n], 'truth'):.3f}"
                if (field, n) in built
                else "–"
                for n in sizes.capacities
            ),
        )
        for field in sizes.receptive_fields
    ]
    heads = ("receptive field", *(f"{n / 1e6:g} M parameters" for n in sizes.capacities))
    return Table("Fig. 6: geometric mean of the five NRMSE, against matching / against the truth", heads, rows)


def capacity_figure(sizes: Sizes, results: Results) -> Figure:
    """The error over the receptive field, one line for each number of parameters."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for reference, axes in zip(("matching", "truth"), panels, strict=True):
        for capacity in sizes.capacities:
            built = [(field, name) for (field, n), name in designs(sizes).items() if n == capacity]
            errors = [error(results, name, reference) for _, name in built]
            axes.plot([field for field, _ in built], errors, "o-", label=f"{capacity / 1e6:g} M parameters")
        axes.set(xlabel="receptive field (pixels)", ylabel=f"NRMSE against {reference}")
        axes.legend(frameon=False)
    return figure


def most_important(frames: Numbers, name: str) -> list[int]:
    """The permuted frames in the order of their importance for a map."""
    return [int(frames["frames"][i]) for i in np.argsort(-_changes(frames, name))]


def _of_parts(frames: Numbers, name: str) -> list[float]:
    """The mean absolute change of a map's NRMSE by the permutation of one frame, for every part of the train."""
    change, numbers = _changes(frames, name), np.array(frames["frames"])
    bounds = zip(frames["parts"], frames["parts"][1:], strict=False)
    return [float(change[(numbers >= low) & (numbers < high)].mean()) for low, high in bounds]


def frames_table(results: Results) -> Table:
    """The most important frames and parts of the train, for every map."""
    frames = results["frames"]
    parts = [f"{low}–{high - 1}" for low, high in zip(frames["parts"], frames["parts"][1:], strict=False)]
    rows = []
    for name, title in zip(NAMES, TITLES, strict=True):
        change = _changes(frames, name)
        best = ", ".join(str(frame) for frame in most_important(frames, name)[:3])
        means = (f"{1000 * mean:.2f}" for mean in _of_parts(frames, name))
        rows.append((title, best, f"{1000 * change.max():.2f}", *means))
    caption = (
        "Fig. 7: change of the NRMSE by the permutation of one frame, in thousandths; means over parts of the train"
    )
    return Table(caption, ("", "three most important frames", "largest", *parts), rows)


def frames_figure(results: Results) -> Figure:
    """The absolute change of the NRMSE over the frame that is permuted."""
    frames = results["frames"]
    figure = Figure(figsize=(8, 7), layout="constrained")
    panels = figure.subplots(len(NAMES), 1, sharex=True)
    for name, title, axes in zip(NAMES, TITLES, panels, strict=True):
        axes.plot(frames["frames"], 1000 * _changes(frames, name), lw=1)
        axes.set(ylabel=title)
        for border in frames["parts"][1:-1]:
            axes.axvline(border, color="#b4b4bc", lw=0.8, zorder=0)
    panels[0].set_title(
        "absolute change of the NRMSE in thousandths; grey: flip angle or echo time changes", fontsize=9
    )
    panels[-1].set(xlabel="permuted frame")
    return figure


def errors_of_draws(sizes: Sizes, results: Results, reference: str) -> dict[int, list[float]]:
    """Number of subjects -> the error of the network of every draw."""
    return {number: [error(results, name, reference) for name in names] for number, names in draws(sizes).items()}


def subjects_table(sizes: Sizes, results: Results) -> Table:
    """The errors by the number of subjects that a network was trained on."""
    found = {reference: errors_of_draws(sizes, results, reference) for reference in ("matching", "truth")}
    rows = []
    for number, names in draws(sizes).items():
        of_maps = [np.mean([results["test"][n]["matching"]["nrmse"][m] for n in names]) for m in NAMES]
        means = [f"{np.mean(found[r][number]):.3f} ± {np.std(found[r][number]):.3f}" for r in found]
        rows.append((str(number), str(len(names)), *(f"{value:.3f}" for value in of_maps), *means))
    heads = ("subjects", "draws", *TITLES, "all", "all against the truth")
    return Table("Fig. 8: NRMSE against matching, and the geometric mean of all five maps", heads, rows)


def subjects_figure(sizes: Sizes, results: Results) -> Figure:
    """The error over the number of subjects, with the standard deviation of the draws."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for reference, axes in zip(("matching", "truth"), panels, strict=True):
        found = errors_of_draws(sizes, results, reference)
        means, spread = ([of(values) for values in found.values()] for of in (np.mean, np.std))
        axes.errorbar(list(found), means, spread, marker="o", capsize=2)
        axes.set(xlabel="subjects to train on", ylabel=f"NRMSE against {reference}", xlim=(0, None))
    return figure


def unseen_r2(sizes: Sizes, results: Results, network: str) -> dict[str, float]:
    """Map -> R² of the means of regions against matching, averaged over the unseen anatomies that show the map."""
    of = [results["unseen"][anatomy][f"{network}-matching"]["matching"]["r2"] for anatomy in sizes.unseen]
    found = {name: [r2[name] for r2 in of if r2.get(name) is not None] for name in NAMES}
    return {name: float(np.mean(values)) for name, values in found.items() if values}


def unseen_table(sizes: Sizes, results: Results) -> Table:
    """R² and NRMSE in anatomies that no network was trained on, beside those of the test."""
    rows = []
    for network in sizes.networks:
        test, r2 = results["test"][f"{network}-matching"]["matching"]["r2"], unseen_r2(sizes, results, network)
        paper = dict(zip(NAMES, UNSEEN_PUBLISHED.get(network, ()), strict=False))
        rows.append((f"{network}, test", *(_text(test.get(n), ".3f") for n in NAMES)))
        cells = (_text(r2.get(n), ".3f") + (f" ({paper[n]:.3f})" if n in paper else "") for n in NAMES)
        rows.append((f"{network}, unseen", *cells))
    return Table(f"Table 4: R² of the means of regions, mean of {', '.join(sizes.unseen)} (paper)", ("", *TITLES), rows)


def _changes(frames: Numbers, name: str) -> NDArray[np.float64]:
    """The absolute change of a map's NRMSE by every permuted frame, as in the paper."""
    change = np.asarray(frames["permuted"][name], np.float64) - float(frames["whole"][name][0])
    return np.asarray(np.abs(change))


def _text(value: float | None, style: str) -> str:
    return "–" if value is None else f"{value:{style}}"


def named(values: Mapping[str, float], style: str = ".3f") -> str:
    """Values by the titles of their maps, in one line."""
    return ", ".join(f"{t} {values[n]:{style}}" for n, t in zip(NAMES, TITLES, strict=True) if n in values)
