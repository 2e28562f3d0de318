"""The numbers of an evaluation as plain tables, which can be written as JSON."""

import os
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from spokestream import __version__
from spokestream.models.evaluation.evaluating import TRUTH, Condition, Evaluation
from spokestream.models.evaluation.metrics import bland_altman, line
from spokestream.models.evaluation.published import PUBLISHED, SOURCE
from spokestream.models.evaluation.reconstructors import MATCHING
from spokestream.models.evaluation.scores import BLUR_THRESHOLDS, LARGE_ERROR, Score, Verdict, ranked_over
from spokestream.models.evaluation.summary import summary

__all__ = ["results"]

PACKAGES = ("numpy", "scipy", "torch")


def results(evaluation: Evaluation) -> dict[str, Any]:
    """All results except the figures. Values that could not be measured are None."""
    model = evaluation.conditions[0].model
    table = {
        "versions": {"spokestream": __version__, **{package: version(package) for package in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
        "threads": evaluation.threads,
        "maps": {p.name: {"title": p.quantity.title, "unit": p.quantity.unit} for p in model.parameters},
        "ranked": {p.name: ranked_over(p) for p in model.parameters},
        "blur_thresholds": BLUR_THRESHOLDS.tolist(),
        "reconstructors": {
            r.name: {**r.about, "learnt_subjects": sorted(r.trained_on), "published": PUBLISHED.get(r.network)}
            for r in evaluation.reconstructors
        },
        "published_source": SOURCE,
        "conditions": {condition.name: _condition(condition) for condition in evaluation.conditions},
    }
    plain = dict(_plain(table))
    return plain | {"summary": summary(plain)}


def _condition(condition: Condition) -> dict[str, Any]:
    judged = {s for verdict in condition.verdicts.values() for strata in verdict.errors.values() for s in strata}
    tissues = [tissue for tissue in condition.tissues if tissue in judged]
    return {
        "settings": condition.recipe,
        "about": condition.about,
        "refused": condition.refused,
        "subjects": condition.seeds,
        "dictionary": condition.dictionary,
        "strata": {s.name: [s.low, s.high] for s in condition.strata} | {t: [None, None] for t in tissues},
        "strata_by": "fat fraction" if condition.model.fraction else "tissue",
        "blur_of_truth": _blur(condition.truth),
        "reconstructors": {name: _verdict(verdict) for name, verdict in condition.verdicts.items()},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "seconds_per_slice": float(np.median(verdict.seconds)),
        "flagged_share": verdict.flagged / verdict.foreground if verdict.foreground else None,
        "errors": {
            name: {s: {"rmse": m.rmse, "bias": m.bias, "voxels": m.n} for s, m in strata.items()}
            for name, strata in verdict.errors.items()
        },
        **{
            f"against_{reference}": _score(verdict.scores[reference])
            for reference in (TRUTH, MATCHING)
            if reference in verdict.scores
        },
        "calibration": {name: calibration.result() for name, calibration in verdict.calibration.items()},
        "texture": {name: texture.result() for name, texture in verdict.texture.items()},
        "large_errors": {
            name: {"above": LARGE_ERROR[name], "voxels": int(n), "flagged_share": int(caught) / int(n) if n else None}
            for name, (n, caught) in verdict.large.items()
        },
        "blur": _blur(verdict),
    }


def _score(score: Score) -> dict[str, Any]:
    """Metric -> map -> mean and standard deviation over subjects, and the agreement of regions."""
    table: dict[str, Any] = {
        metric: {name: _over_subjects(values) for name, values in maps.items()}
        for metric, maps in score.by_subject.items()
    }
    table["regions"] = {name: _regions(np.hstack(pairs)) for name, pairs in score.regions.items()}
    return table


def _over_subjects(values: list[float]) -> dict[str, float | None]:
    """Mean and standard deviation over the subjects with a finite value.

    The peak signal-to-noise ratio of a perfect map is infinite, and an empty map has no values.
    """
    finite = [value for value in values if np.isfinite(value)]
    return {"mean": float(np.mean(finite)), "std": float(np.std(finite))} if finite else {"mean": None, "std": None}


def _regions(pairs: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, Any] | None:
    try:
        fit, limits = line(*pairs), bland_altman(*pairs)
    except ValueError:  # too few regions
        return None
    return {**vars(fit), "limits": [limits.low, limits.high]}


def _blur(verdict: Verdict) -> dict[str, Any]:
    return {
        name: {"mean": np.mean(curves, axis=0).tolist(), "std": np.std(curves, axis=0).tolist()}
        for name, curves in verdict.blur.items()
    }


def _plain(value: Any) -> Any:
    """The value with None instead of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
