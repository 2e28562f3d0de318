"""The summary of an evaluation: one row for every condition, method and map."""

from collections.abc import Mapping
from html import escape
from typing import Any

from spokestream.html_parts import table
from spokestream.models.evaluation.texture import band_names

__all__ = ["refusals", "summary", "summary_table"]


def summary(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the summary, from the plain tables of the results; what does not exist is None.

    `rmse` and `bias` are over the voxels that rank methods, in the map's unit. `within` are the fractions of errors
    within one and two of the method's standard deviations. `kept` is the kept texture by band, from fine to coarse.
    `caught` is the fraction of large errors that the physics check flagged.
    """
    return [
        _row(condition, method, name, verdict)
        for condition, about in found["conditions"].items()
        for method, verdict in about["reconstructors"].items()
        for name in found["maps"]
        if name in verdict["errors"]
    ]


def _row(condition: str, method: str, name: str, verdict: Mapping[str, Any]) -> dict[str, Any]:
    errors, calibration = verdict["errors"][name].get("ranked", {}), verdict["calibration"].get(name, {})
    return {
        "condition": condition,
        "method": method,
        "map": name,
        "rmse": errors.get("rmse"),
        "bias": errors.get("bias"),
        "within": [calibration.get("within_1_std"), calibration.get("within_2_std")],
        "kept": [band["kept"] for band in verdict["texture"].get(name, [])],
        "caught": verdict["large_errors"].get(name, {}).get("flagged_share"),
        "seconds_per_slice": verdict["seconds_per_slice"],
    }


def summary_table(found: Mapping[str, Any]) -> str:
    """The summary in HTML."""
    bands = band_names()
    heads = [
        "", "", "", "RMSE", "bias", "within 1 sd", "within 2 sd", *(f"kept, {band} pixels" for band in bands),
        "large errors flagged", "s a slice",
    ]  # fmt: skip
    rows = []
    for row in found["summary"]:
        about = found["maps"][row["map"]]
        digits = ".3f" if about["unit"] == "1" else ".1f"
        title = about["title"] if about["unit"] == "1" else f"{about['title']} ({about['unit']})"
        kept = row["kept"] or [None] * len(bands)
        numbers = [
            _text(row["rmse"], digits), _text(row["bias"], f"+{digits}"),
            *(_text(share, ".0%") for share in (*row["within"], *kept, row["caught"])),
            _text(row["seconds_per_slice"], ".2g"),
        ]  # fmt: skip
        words = "".join(f'<td class="text">{escape(text)}</td>' for text in (row["condition"], row["method"], title))
        rows.append(words + "".join(f"<td>{number}</td>" for number in numbers))
    limits = {
        f"{found['maps'][name]['title']} {of_map['above']:g} {found['maps'][name]['unit'].removesuffix('1')}".strip()
        for about in found["conditions"].values()
        for verdict in about["reconstructors"].values()
        for name, of_map in verdict["large_errors"].items()
    }
    note = (
        "Within: fraction of errors within one and two standard deviations of the method. Kept: fraction of the true "
        "texture that the map shows, by the range of Gaussian smoothings, where the truth has texture. Large errors "
        f"are those above {', '.join(sorted(limits))}."
    )
    return table(note, heads, rows)


def refusals(found: Mapping[str, Any]) -> str:
    """The methods that cannot take the scans of a condition, and the reasons, in HTML."""
    items = [
        f"<li>{escape(condition)}, {escape(method)}: {escape(reason)}</li>"
        for condition, about in found["conditions"].items()
        for method, reason in about["refused"].items()
    ]
    return f"<p>Left out:</p><ul>{''.join(items)}</ul>" if items else ""


def _text(value: float | None, digits: str) -> str:
    return "–" if value is None else f"{value:{digits}}"
