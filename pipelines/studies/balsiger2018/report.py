"""Table 1 of Balsiger 2018, its claims, and the errors as a figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from spokestream.pipelines.studies.balsiger2018.sizes import MATCHERS, PROPOSED, Sizes, training_step
from spokestream.pipelines.studies.study import Claim, Numbers, Report, Results, Table

__all__ = ["report"]

MAPS = ("t1", "t2")
MEASURES = ("mae", "rmse")
TISSUES = ("WM", "GM", "CSF")
GOMEZ = "Gomez"
EXACT = "matching"
PUBLISHED: dict[tuple[str, str], dict[str, tuple[tuple[float, float], ...]]] = {
    ("WM", "t1"): {
        "cohen2018": ((209, 268),), "hoppe2017": ((254, 318),), GOMEZ: ((259, 327),), PROPOSED: ((159, 243),),
    },
    ("WM", "t2"): {
        "cohen2018": ((43.6, 77.3),), "hoppe2017": ((61.3, 92.0),), GOMEZ: ((33.4, 73.4),), PROPOSED: ((28.0, 71.1),),
    },
    ("GM", "t1"): {
        "cohen2018": ((197, 258),), "hoppe2017": ((219, 288),), GOMEZ: ((191, 269), (208, 287)),
        PROPOSED: ((191, 269), (208, 287)),
    },
    ("GM", "t2"): {
        "cohen2018": ((57.6, 97.3),), "hoppe2017": ((70.2, 105),), GOMEZ: ((43.2, 93.6), (45.8, 90.5)),
        PROPOSED: ((43.2, 93.6), (45.8, 90.5)),
    },
    ("CSF", "t1"): {
        "cohen2018": ((1163, 1364),), "hoppe2017": ((1013, 1219),), GOMEZ: ((1073, 1269),), PROPOSED: ((989, 1182),),
    },
    ("CSF", "t2"): {},
}  # fmt: skip
"""Tissue and map -> method -> mean absolute and root-mean-square error in ms, as the paper's Table 1 prints them.

Our copy of the table has lost the order of some cells. Where two methods share two values, both stand here; there are
none for T2 of CSF, where the four methods have 175 / 228, 182 / 240, 183 / 237 and 229 / 287 ms."""


class Found:
    """The errors of all methods."""

    def __init__(self, sizes: Sizes, results: Results) -> None:
        self.sizes, self.results = sizes, results
        self.methods = (*MATCHERS, *reversed(sizes.networks))
        """The proposed network is the last."""

    def numbers(self, method: str) -> list[Numbers]:
        """What the steps measured of a method, of every subject."""
        if method in MATCHERS:
            return list(self.results["matching"][method])
        return [self.results[training_step(method, fold)] for fold in range(self.sizes.subjects)]

    def errors(self, method: str, tissue: str, name: str, measure: str) -> list[float]:
        """The errors of all subjects that have the tissue."""
        of = [numbers["errors"].get(tissue) for numbers in self.numbers(method)]
        return [errors[name][measure] for errors in of if errors]

    def mean(self, method: str, tissue: str, name: str, measure: str) -> float:
        """The mean error of the subjects."""
        return float(np.mean(self.errors(method, tissue, name, measure) or [0.0]))

    def published_methods(self) -> list[str]:
        """The methods that the paper compares as well."""
        return [method for method in self.methods if method != EXACT]


def report(sizes: Sizes, results: Results) -> Report:
    """Table 1, the times, and the claims of the paper."""
    found = Found(sizes, results)
    tables = [_table(found, name) for name in MAPS] + [_training(found)]
    caption = "Root-mean-square errors; bars: mean and standard deviation of the subjects, marks: the paper"
    return Report(tables, _claims(found), {caption: _figure(found)})


def _table(found: Found, name: str) -> Table:
    rows = []
    for method in found.methods:
        cells = []
        for tissue in TISSUES:
            here = " / ".join(f"{found.mean(method, tissue, name, measure):.1f}" for measure in MEASURES)
            paper = PUBLISHED[tissue, name].get(method, ())
            cells += [here, " or ".join(" / ".join(f"{value:g}" for value in pair) for pair in paper)]
        rows.append((method, *cells))
    heads = ("", *(head for tissue in TISSUES for head in (tissue, "paper")))
    return Table(f"Table 1: mean absolute / root-mean-square error of {name.upper()}, ms", heads, rows)


def _training(found: Found) -> Table:
    rows = []
    for method in found.methods:
        numbers = found.numbers(method)
        seconds = f"{np.median([of['seconds'] for of in numbers]):.2f}"
        trained = method not in MATCHERS
        epochs = ", ".join(str(of["epoch"]) for of in numbers) if trained else ""
        training = f"{np.mean([of['training_seconds'] for of in numbers]):.0f}" if trained else ""
        rows.append((method, seconds, training, epochs))
    heads = ("", "s", "training, s", "best epochs")
    return Table("Time of a slice and of a training, and the best epoch for each subject", heads, rows)


def _claims(found: Found) -> list[Claim]:
    methods = found.published_methods()
    claims = [
        _smallest(found, f"The proposed network has the smallest errors of {name.upper()} in {tissue}.", tissue, name)
        for tissue, name in (("WM", "t1"), ("WM", "t2"), ("CSF", "t1"))
    ]
    single = [method for method in found.sizes.networks if method != PROPOSED]
    text = "The proposed network has smaller errors of T2 in GM than the networks of single voxels."
    claims.append(_smallest(found, text, "GM", "t2", [*single, PROPOSED]))
    pairs = [(tissue, name) for tissue in TISSUES for name in MAPS]
    best = sum(_best(found, tissue, name, methods) == PROPOSED for tissue, name in pairs)
    claims.append(
        Claim(
            "The proposed network has the smallest absolute error in most tissues and maps.",
            best > len(pairs) / 2,
            f"in {best} of {len(pairs)}",
        )
    )
    for name in MAPS:
        ratio = {
            method: found.mean(method, "CSF", name, "mae")
            / max(1e-9, *(found.mean(method, tissue, name, "mae") for tissue in ("WM", "GM")))
            for method in methods
        }
        claims.append(
            Claim(
                f"The errors of {name.upper()} of all methods are the largest in CSF.",
                min(ratio.values()) > 1,
                ", ".join(f"{method} {value:.1f}" for method, value in ratio.items()) + " times those of WM or GM",
            )
        )
    return claims


def _best(found: Found, tissue: str, name: str, methods: Sequence[str]) -> str:
    return min(methods, key=lambda method: found.mean(method, tissue, name, "mae"))


def _smallest(found: Found, text: str, tissue: str, name: str, methods: Sequence[str] | None = None) -> Claim:
    """The claim that both errors of the proposed network are the smallest, in the mean of the subjects."""
    compared = methods or found.published_methods()
    holds = True
    for measure in MEASURES:
        errors = {method: found.mean(method, tissue, name, measure) for method in compared}
        holds &= all(errors[PROPOSED] < error for method, error in errors.items() if method != PROPOSED)
    subjects = zip(*(found.errors(method, tissue, name, "mae") for method in compared), strict=True)
    proposed = list(compared).index(PROPOSED)
    times = sum(values[proposed] == min(values) for values in subjects)
    means = ", ".join(
        f"{method} " + " / ".join(f"{found.mean(method, tissue, name, measure):.1f}" for measure in MEASURES)
        for method in compared
    )
    return Claim(text, holds, f"{means} ms; absolute error the smallest in {times} of {found.sizes.subjects} subjects")


def _figure(found: Found) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (name, tissues) in zip(
        figure.subplots(1, 4, width_ratios=(2, 1, 2, 1)),
        [(name, tissues) for name in MAPS for tissues in (TISSUES[:2], TISSUES[2:])],
        strict=True,
    ):
        width = 0.8 / len(found.methods)
        for number, method in enumerate(found.methods):
            places = np.arange(len(tissues)) + (number - (len(found.methods) - 1) / 2) * width
            of = [found.errors(method, tissue, name, "rmse") or [0.0] for tissue in tissues]
            means, spread = [np.mean(values) for values in of], [np.std(values) for values in of]
            axes.bar(places, means, width, yerr=spread, capsize=1.5, label=method)
            for place, tissue in zip(places, tissues, strict=True):
                for _, rmse in PUBLISHED[tissue, name].get(method, ()):
                    axes.plot(place, rmse, "k_", ms=7)
        axes.set_xticks(range(len(tissues)), tissues)
        axes.set(ylabel=f"RMSE of {name.upper()} (ms)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    return figure
