"""Tables, claims and figures of the study of Fang 2019."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spokestream.pipelines.studies.fang2019.bench import MATCHERS
from spokestream.pipelines.studies.fang2019.sizes import ALL_POINTS, FEATURES, MAPS, PAPER_FEATURES, Run, Sizes, runs
from spokestream.pipelines.studies.study import Claim, Numbers, Report, Results, Table

__all__ = ["report", "step_name"]

CSMR = "CSMR"
NETWORKS = ("DL", "SCQ")
"""The networks of Table I."""
WITHOUT_TRAINING = (*MATCHERS, CSMR)


def step_name(run: Run, fold: int) -> str:
    """The name of the step that trains a network."""
    return f"{run.name}-{fold}"


class Found:
    """The errors of all methods, means over folds."""

    def __init__(self, sizes: Sizes, results: Results) -> None:
        self.sizes, self.results = sizes, results

    def without_training(self, method: str, acceleration: int, name: str, key: str = "truth") -> float:
        """An error in a map of a method without training, in %."""
        return float(self.untrained(method, acceleration)[name][key])

    def untrained(self, method: str, acceleration: int) -> Numbers:
        """What the steps measured of a method without training."""
        if method == CSMR:
            return self.results[f"csmr-{acceleration}"]
        numbers: Numbers = self.results[f"matching-{acceleration}"][method]
        return numbers

    def network(self, run: Run, name: str, key: str = "truth") -> float:
        """An error of a network in a map, in %."""
        return self._mean(run, lambda numbers: numbers[name][key])

    def seconds(self, run: Run) -> float:
        """The time of a slice."""
        return self._mean(run, lambda numbers: numbers["seconds"])

    def one(self, method: str, name: str, acceleration: int | None = None, **chosen: Any) -> Run:
        """The network of a method that gives this map."""
        at = acceleration or self.sizes.compared
        wanted = {"features": FEATURES if method == "SCQ" else None} | chosen
        fits = (
            run
            for run in runs(self.sizes)
            if (run.method, run.acceleration) == (method, at)
            and name in run.maps
            and all(getattr(run, key) == value for key, value in wanted.items() if value is not None)
        )
        return next(fits)

    def error(self, method: str, name: str, acceleration: int | None = None, key: str = "truth") -> float:
        """An error of any method in a map, in %."""
        at = acceleration or self.sizes.compared
        if method in WITHOUT_TRAINING:
            return self.without_training(method, at, name, key)
        return self.network(self.one(method, name, at), name, key)

    def _mean(self, run: Run, of: Any) -> float:
        folds = range(self.sizes.folds)
        return sum(float(of(self.results[step_name(run, fold)])) for fold in folds) / len(folds)


def report(sizes: Sizes, results: Results) -> Report:
    """The report; see `Study`."""
    found = Found(sizes, results)
    tables = [_methods(found), _accelerations(found), _parts(found), _features(found)]
    figures = {
        "Fig. 4, 5: relative error by acceleration, and fine detail over that of the truth": _course(found),
        "Fig. 6: relative error by the number of features": _feature_figure(found),
    }
    return Report(tables, _claims(found), figures)


def _cells(found: Found, method: str, acceleration: int | None = None) -> list[str]:
    return [
        f"{found.error(method, name, acceleration, key):.2f}" for name in MAPS for key in ("truth", "matched", "fluid")
    ]


HEADS = ("T1", "T1*", "T1 fluid", "T2", "T2*", "T2 fluid")
KEY = "* against matching of all points"


def _methods(found: Found) -> Table:
    at = found.sizes.compared
    times = {m: float(found.untrained(m, at)["seconds"]) for m in WITHOUT_TRAINING}
    times |= {m: sum(found.seconds(run) for run in {found.one(m, name) for name in MAPS}) for m in NETWORKS}
    words = {"DM": "1", "SDM": ".54; worse than DM", CSMR: "longest", "DL": ".69", "SCQ": "best in both"}
    rows = [
        (m, *_cells(found, m), f"{times[m]:.2f}", f"{times[m] / times['DM']:.2f}", words[m])
        for m in (*WITHOUT_TRAINING, *NETWORKS)
    ]
    points = found.sizes.points // at
    return Table(
        f"Tables I and II: relative error in % with {points:,} points, and the time of a slice; {KEY}",
        ("", *HEADS, "s", "over DM", "paper, time over DM"),
        rows,
    )


def _accelerations(found: Found) -> Table:
    whole = [f"{found.without_training('DM', ALL_POINTS, *of):.2f}" for of in product(MAPS, ("truth", "fluid"))]
    rows: list[tuple[str, ...]] = [
        ("DM", f"{found.sizes.points:,}", whole[0], "0", whole[1], whole[2], "0", whole[3], "the truth")
    ]
    words = {4: "SCQ without significant loss", 8: "SCQ blurred"}
    for a in found.sizes.accelerations:
        for method in (*WITHOUT_TRAINING, "SCQ"):
            word = words.get(a, "") if method == "SCQ" else ""
            rows.append((method, f"{found.sizes.points // a:,}", *_cells(found, method, a), word))
    return Table(
        f"Fig. 4, 5: relative error in % by the number of points; {KEY}", ("", "points", *HEADS, "paper"), rows
    )


def _parts(found: Found) -> Table:
    words = {
        "SCQ": "best",
        "FE-only": "worse (Table III)",
        "SQ-only": "worse (Table III)",
        "SCQ-M": "worse than without a part (Table IV)",
    }
    rows = [(m, *_cells(found, m), word) for m, word in words.items()]
    return Table(f"Tables III and IV: parts and magnitudes, relative error in %; {KEY}", ("", *HEADS, "paper"), rows)


def _features(found: Found) -> Table:
    rows = []
    for energy in found.sizes.energies:
        n = PAPER_FEATURES[energy]
        errors = {name: _of_energy(found, energy, name) for name in MAPS}
        vectors = found.results[step_name(found.one("SCQ-S", "t1", energy=energy), 0)]["features"]
        best = {124: "best T1", 46: "best T2"}.get(n, "")
        cells = [f"{errors[name][0]:.2f}" for name in MAPS], [f"{errors[name][1]:.2f}" for name in MAPS]
        rows.append((f"{energy:g}", f"{n}", *cells[0], f"{vectors}", *cells[1], best))
    heads = ("energy, %", "features", "T1", "T2", "vectors here", "T1 vectors", "T2 vectors", "paper")
    return Table("Fig. 6: relative error in % with extracted features, and with singular vectors", heads, rows)


def _of_energy(found: Found, energy: float, name: str) -> tuple[float, float]:
    """The error with the paper's number of features, and with the singular vectors that keep the energy here."""
    extracted = found.one("SCQ", name, features=PAPER_FEATURES[energy])
    return found.network(extracted, name), found.network(found.one("SCQ-S", name, energy=energy), name)


def _course(found: Found) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    at = sorted(found.sizes.accelerations)
    for axes, name in zip(panels[:2], MAPS, strict=True):
        for method in (*WITHOUT_TRAINING, "SCQ"):
            of = [ALL_POINTS, *at] if method == "DM" else at
            axes.plot(of, [found.error(method, name, a) for a in of], marker="o", label=method)
        axes.plot(found.sizes.compared, found.error("DL", name), "s", label="DL")
        axes.set(xlabel="acceleration", ylabel=f"relative error of {name.upper()} (%)", xticks=[ALL_POINTS, *at])
    for name, style in zip(MAPS, ("o-", "s--"), strict=True):
        detail = [found.error("SCQ", name, a, "detail") for a in at]
        panels[2].plot(at, detail, style, color="C3", label=f"{name.upper()}, SCQ")
    panels[2].set(xlabel="acceleration", ylabel="fine detail over the truth's", xticks=at)
    for axes in panels:
        _from_zero(axes)
    return figure


def _feature_figure(found: Found) -> Figure:
    figure = Figure(figsize=(7, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), MAPS, strict=True):
        numbers = sorted({FEATURES, *(PAPER_FEATURES[e] for e in found.sizes.energies)})
        extracted = [found.network(found.one("SCQ", name, features=n), name) for n in numbers]
        vectors = [found.one("SCQ-S", name, energy=e) for e in found.sizes.energies]
        counts = [found.results[step_name(run, 0)]["features"] for run in vectors]
        axes.semilogx(numbers, extracted, marker="o", label="extracted features")
        axes.semilogx(counts, [found.network(run, name) for run in vectors], marker="s", label="singular vectors")
        axes.set(xlabel="number of features", ylabel=f"relative error of {name.upper()} (%)")
        _from_zero(axes)
    return figure


def _from_zero(axes: Axes) -> None:
    axes.set_ylim(0, 1.15 * axes.dataLim.y1)
    axes.legend(frameon=False)


def _claims(found: Found) -> list[Claim]:
    first = ("DM", "SDM", CSMR, "DL")
    claims = [
        _less(found, f"SCQ has the smallest error of {name.upper()} of all methods.", "SCQ", first, name)
        for name in MAPS
    ]
    claims += [
        _less(found, f"SDM has a larger error of {name.upper()} than DM.", "DM", ("SDM",), name) for name in MAPS
    ]
    claims += [
        _less(found, f"SCQ has a smaller error of {name.upper()} than {what}.", "SCQ", (part,), name)
        for part, what in (("SQ-only", "the U-Net alone"), ("FE-only", "the features alone"), ("SCQ-M", "magnitudes"))
        for name in MAPS
    ]
    claims += [
        _less(
            found, f"Magnitudes have a larger error of {name.upper()} than a network without one of its parts.",
            ("SQ-only", "FE-only"), ("SCQ-M",), name,
        )
        for name in MAPS
    ]  # fmt: skip
    slowest, at = max(found.sizes.accelerations), found.sizes.compared
    for name in MAPS:
        scq, matched = found.error("SCQ", name), found.without_training("DM", ALL_POINTS, name)
        claims.append(
            Claim(
                f"SCQ at {at} loses nothing: its error of {name.upper()} is below that of matching all points.",
                scq < matched,
                f"{scq:.2f} against {matched:.2f} %",
            )
        )
        sharp, blurred = (found.error("SCQ", name, a, "detail") for a in (at, slowest))
        claims.append(
            Claim(
                f"SCQ has less fine detail of {name.upper()} at {slowest} than at {at}.",
                blurred < sharp,
                f"{blurred:.2f} against {sharp:.2f} of the truth's",
            )
        )
    claims += [_extracted(found, name) for name in MAPS]
    return claims


def _less(found: Found, text: str, better: str | Sequence[str], others: Sequence[str], name: str) -> Claim:
    """The claim that the errors of some methods in a map are below those of all others."""
    low = [better] if isinstance(better, str) else better
    errors = {method: found.error(method, name) for method in (*low, *others)}
    holds = max(errors[m] for m in low) < min(errors[m] for m in others)
    return Claim(text, holds, ", ".join(f"{m} {error:.2f} %" for m, error in errors.items()))


def _extracted(found: Found, name: str) -> Claim:
    pairs = {energy: _of_energy(found, energy, name) for energy in found.sizes.energies}
    better = sum(extracted < vectors for extracted, vectors in pairs.values())
    return Claim(
        f"Extracted features have a smaller error of {name.upper()} than singular vectors at most energies.",
        better > len(pairs) / 2,
        "; ".join(f"{e:g} %: {extracted:.2f}, {vectors:.2f} %" for e, (extracted, vectors) in pairs.items()),
    )
