"""The report of an evaluation: one HTML page with all tables and figures, and the same as files."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from spokestream.html_parts import figure, page, table
from spokestream.models.evaluation.evaluating import TRUTH, Evaluation
from spokestream.models.evaluation.look import STYLE, png
from spokestream.models.evaluation.order import mean_ranks
from spokestream.models.evaluation.reconstructors import MATCHING
from spokestream.models.evaluation.report_figures import condition_figures
from spokestream.models.evaluation.results import results
from spokestream.models.evaluation.subject_errors import write_subject_errors
from spokestream.models.evaluation.summary import refusals, summary_table

__all__ = ["error_text", "is_worse", "write_report"]

METRICS = {"nrmse": ("NRMSE", ".3f"), "psnr": ("PSNR (dB)", ".1f"), "ssim": ("SSIM", ".3f")}
AGREEMENT = {"r2": ("R²", ".3f"), "slope": ("slope", ".3f"), "bias": ("bias", ".3g"), "limits": ("limits", ".3g")}
BUDGET = ("subjects", "slices", "epochs", "hours", "seed")
"""Keys of the training budget in the contract of an archive."""
CAPTIONS = {
    "maps": "The middle slice of the first subject.",
    "regions": "Means of regions against the truth; below, their differences with mean and limits of agreement.",
    "blurriness": "Energy at high spatial frequencies, mean and standard deviation over slices; lower is smoother.",
    "calibration": "Root mean square error against the standard deviation that the network expected. "
    "On the line, both are equal.",
}


def write_report(folder: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Write `results.json`, `subjects.csv`, `report.html` and the figures as PNG; returns the results."""
    folder.mkdir(parents=True, exist_ok=True)
    found = results(evaluation)
    (folder / "results.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")
    write_subject_errors(folder / "subjects.csv", {c.name: c.by_subject for c in evaluation.conditions})
    pictures: dict[str, dict[str, bytes]] = {}
    for condition in evaluation.conditions:
        pictures[condition.name] = {name: png(drawn) for name, drawn in condition_figures(condition).items()}
        for name, picture in pictures[condition.name].items():
            (folder / f"{condition.name}-{name.replace(' ', '-')}.png").write_bytes(picture)
    (folder / "report.html").write_text(_page(found, pictures), "utf-8")
    return found


def error_text(found: Mapping[str, Any], condition: str, reconstructor: str, name: str, what: str = "rmse") -> str:
    """The error of one map, in its unit, over the voxels that rank reconstructors; a dash if there is none."""
    errors = found["conditions"][condition]["reconstructors"][reconstructor]["errors"]
    return _error(errors.get(name, {}).get("ranked"), found["maps"][name]["unit"], what)


def is_worse(found: Mapping[str, Any], condition: str, reconstructor: str, name: str) -> bool:
    """Whether matching was run and has the smaller error of this map."""
    mine, theirs = (
        found["conditions"][condition]["reconstructors"].get(r, {}).get("errors", {}).get(name, {}).get("ranked", {})
        for r in (reconstructor, MATCHING)
    )
    values = mine.get("rmse"), theirs.get("rmse")
    return reconstructor != MATCHING and None not in values and values[0] > values[1]


def _page(found: dict[str, Any], pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    body = "".join(_condition(found, name, pictures[name]) for name in found["conditions"])
    title = f"Evaluation of {', '.join(found['reconstructors'])}"
    return page(title, _summary(found) + body + _reconstructors(found), STYLE)


def _summary(found: dict[str, Any]) -> str:
    """The table of all conditions, if there are several."""
    if len(found["conditions"]) == 1:
        return ""
    return f"<h2>All conditions</h2>{summary_table(found)}{refusals(found)}"


def _condition(found: dict[str, Any], condition: str, pictures: Mapping[str, bytes]) -> str:
    about = found["conditions"][condition]
    subjects, slices = len(about["subjects"]), about["settings"]["slices"]
    parts = [
        f"<h2>{escape(condition)}</h2>",
        f"<p>{escape(about['about'])}.</p>" if about["about"] else "",
        f"<p>{subjects} subjects, {slices} slices each; {escape(_settings(about['settings']))}.</p>",
        _ranking(found, condition),
        _strata(found, condition),
        _scores(found, condition, TRUTH),
        _scores(found, condition, MATCHING),
        *(figure(name, _caption(name), picture) for name, picture in pictures.items()),
    ]
    return "".join(parts)


def _ranking(found: dict[str, Any], condition: str) -> str:
    heads = ["", *(f"{_title(found, n)}, {r}" for n, r in found["ranked"].items()), "flagged", "s a slice"]
    rows = []
    for name, verdict in found["conditions"][condition]["reconstructors"].items():
        cells = [f"<td>{escape(name)}</td>"]
        for map_name in found["maps"]:
            text = error_text(found, condition, name, map_name)
            worse = is_worse(found, condition, name, map_name)
            cells.append(f'<td class="worse">{text} ▲</td>' if worse else f"<td>{text}</td>")
        cells.append(f"<td>{_percent(verdict['flagged_share'])}</td><td>{verdict['seconds_per_slice']:.2g}</td>")
        rows.append("".join(cells))
    note = (
        "Root mean square error against the truth. ▲: matching is better. "
        "Flagged: voxels whose maps do not explain the signal."
    )
    return table(note, heads, rows)


def _strata(found: dict[str, Any], condition: str) -> str:
    about = found["conditions"][condition]
    parts = []
    for name in _stratified(found, condition):
        rows = []
        for reconstructor, verdict in about["reconstructors"].items():
            errors = verdict["errors"].get(name, {})
            texts = [
                f"{_error(errors.get(s), found['maps'][name]['unit'], 'bias')} / "
                f"{_error(errors.get(s), found['maps'][name]['unit'], 'rmse')}"
                for s in about["strata"]
            ]
            rows.append("".join(f"<td>{escape(text)}</td>" for text in (reconstructor, *texts)))
        heads = ["", *(_bounds(s, *limits) for s, limits in about["strata"].items())]
        parts.append(table(f"{_title(found, name)}: bias / RMSE by true {about['strata_by']}.", heads, rows))
    return f"<h3>Errors by {about['strata_by']}</h3>{''.join(parts)}"


def _scores(found: dict[str, Any], condition: str, reference: str) -> str:
    """The table of measures against a reference, in the layout of the paper's Table 2."""
    verdicts = found["conditions"][condition]["reconstructors"]
    scored = {name: v[f"against_{reference}"] for name, v in verdicts.items() if f"against_{reference}" in v}
    if not scored:
        return ""
    rows = []
    for metric, (title, digits) in METRICS.items():
        for name, score in scored.items():
            cells = [_spread(score[metric].get(m), digits) for m in found["maps"]]
            rows.append(_score_row(title, name, found, cells, metric))
    for what, (title, digits) in AGREEMENT.items():
        for name, score in scored.items():
            cells = [_agreement(score["regions"].get(m), what, digits) for m in found["maps"]]
            rows.append(_score_row(f"{title} of regions", name, found, cells, what))
    heads = ["", "", *(_title(found, name) for name in found["maps"])]
    note = "Mean ± standard deviation over subjects; agreement of the means of regions."
    papers = {name: paper for name in scored if (paper := found["reconstructors"][name].get("published"))}
    source = f'<p class="paper">In grey: {escape(found["published_source"])}.</p>' if papers else ""
    return f"<h3>Against {reference}</h3>{table(note, heads, rows)}{source}{_order(found, scored, papers)}"


def _order(found: dict[str, Any], scored: Mapping[str, Any], papers: Mapping[str, Any]) -> str:
    """The order of the published networks here and in the paper, and how long each was trained here."""
    if len(papers) < 2:
        return ""
    errors = {name: {m: value["mean"] for m, value in scored[name]["nrmse"].items()} for name in papers}
    ours, published = mean_ranks(errors), mean_ranks({name: paper["nrmse"] for name, paper in papers.items()})
    rows = []
    for name, rank in ours.items():
        trained = _trained(found["reconstructors"][name], "epochs", "hours")
        cells = [name, f"{rank:.1f}", f"{published[name]:.1f}", *trained]
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    note = "Mean rank by NRMSE over the maps, among the published networks; 1 means the best in every map."
    return table(note, ("", "here", "paper", "epochs", "hours"), rows)


def _score_row(title: str, name: str, found: dict[str, Any], cells: Iterable[str], metric: str) -> str:
    paper = ((found["reconstructors"][name].get("published") or {}).get(metric)) or {}
    values = [
        f"<td>{cell}{f' <span class=paper>{paper[m]:g}</span>' if m in paper else ''}</td>"
        for m, cell in zip(found["maps"], cells, strict=True)
    ]
    return f'<td>{escape(title)}</td><td class="text">{escape(name)}</td>{"".join(values)}'


def _agreement(regions: dict[str, Any] | None, what: str, digits: str) -> str:
    if regions is None:
        return "–"
    values = regions[what] if what == "limits" else [regions[what]]
    return " to ".join(f"{value:{digits}}" for value in values)


def _reconstructors(found: dict[str, Any]) -> str:
    """Training budgets side by side, then the complete descriptions in the archives."""
    rows, details = [], []
    for name, about in found["reconstructors"].items():
        cells = [name, about.get("digest", "–"), about.get("precision", "–"), *_trained(about, *BUDGET, "command")]
        rows.append("".join(f'<td class="text">{escape(cell)}</td>' for cell in cells))
        shown = {key: value for key, value in about.items() if key not in ("published", "learnt_subjects")}
        text = escape(json.dumps(shown, indent=2, ensure_ascii=False))
        details.append(f"<details><summary>{escape(name)}</summary><pre>{text}</pre></details>")
    heads = ["", "digest", "precision", *BUDGET, "command"]
    software = ", ".join(f"{k} {v}" for k, v in (found["versions"] | found["machine"]).items())
    note = "The data and the duration of the training of every network."
    return (
        f"<h2>Reconstructors</h2>{table(note, heads, rows)}"
        f'{"".join(details)}<p class="note">{escape(software)}, {found["threads"]} threads.</p>'
    )


def _trained(about: Mapping[str, Any], *what: str) -> list[str]:
    """Values of a reconstructor's training as text; dashes for values that it does not have."""
    return [str(about.get("training", {}).get(key, "–")) for key in what]


def _error(moments: Mapping[str, Any] | None, unit: str, what: str) -> str:
    if moments is None or moments[what] is None:
        return "–"
    digits = ".3f" if unit == "1" else ".1f"
    return f"{moments[what]:{'+' if what == 'bias' else ''}{digits}}"


def _spread(value: Mapping[str, Any] | None, digits: str) -> str:
    if value is None or value["mean"] is None:
        return "–"
    return f"{value['mean']:{digits}} ± {value['std']:{digits}}"


def _title(found: Mapping[str, Any], name: str) -> str:
    title, unit = found["maps"][name]["title"], found["maps"][name]["unit"]
    return title if unit == "1" else f"{title} ({unit})"


def _stratified(found: Mapping[str, Any], condition: str) -> list[str]:
    """The maps whose errors are reported by strata."""
    about = found["conditions"][condition]
    errors = [verdict["errors"] for verdict in about["reconstructors"].values()]
    return [n for n in found["maps"] if any(s in e.get(n, {}) for e in errors for s in about["strata"])]


def _bounds(name: str, low: float | None, high: float | None) -> str:
    """The heading of a stratum. The limits of thirds depend on the set, so that they are added."""
    if not name.endswith("third"):
        return name
    return f"{name}, FF {0 if low is None else low:.2f} to {1 if high is None else high:.2f}"


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f} %"


def _settings(settings: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        return " to ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)

    return ", ".join(f"{name.replace('_', ' ')} {text(value)}" for name, value in settings.items() if name != "slices")


def _caption(name: str) -> str:
    kind, _, whose = name.partition(" ")
    return f"{whose}: {CAPTIONS[kind]}" if whose else CAPTIONS[kind]
