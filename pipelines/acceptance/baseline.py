"""The baseline of an acceptance test: means of an earlier one, with which later ones are compared."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from spokestream.errors import FileError
from spokestream.pipelines.acceptance.accepting import MeasuredLayout
from spokestream.whole_files import whole_file

__all__ = ["Baseline", "compared", "read_baseline", "write_baseline"]

KIND = "spokestream acceptance baseline"
STANDARD_ERRORS = 3.0
"""A change of so many standard errors of the difference of two means is accepted, because noise alone may cause it."""


@dataclass(frozen=True)
class Baseline:
    """The means of an earlier test."""

    path: Path
    date: str
    pipeline: str
    means: dict[str, dict[str, dict[str, tuple[float, float]]]]
    """Title of the layout -> name of the map -> name of the vial -> mean and its standard error, in the map's unit."""


def read_baseline(path: Path) -> Baseline:
    """Read a baseline. Raises FileError for anything else."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["kind"] != KIND:
            raise ValueError(content["kind"])
        means = {
            str(layout): {
                str(name): {str(vial): (float(mean), float(error)) for vial, (mean, error) in vials.items()}
                for name, vials in maps.items()
            }
            for layout, maps in content["means"].items()
        }
        return Baseline(path, str(content["date"]), str(content["pipeline"]), means)
    except OSError as error:
        raise FileError(f"The baseline {path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, LookupError, AttributeError):
        raise FileError(f"{path} is no baseline of an acceptance test; name a file that does not exist yet.") from None


def write_baseline(path: Path, measured: Sequence[MeasuredLayout], pipeline: str) -> None:
    """Write the means as a baseline. Raises FileError if the file cannot be written."""
    means: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for one in measured:
        for row in one.rows:
            if math.isfinite(row.mean):
                means.setdefault(one.layout.title, {}).setdefault(row.map, {})[row.vial] = (
                    row.mean, row.standard_error
                )  # fmt: skip
    date = datetime.now(UTC).date().isoformat()
    content = {"kind": KIND, "date": date, "pipeline": pipeline, "means": means}
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def compared(measured: Sequence[MeasuredLayout], baseline: Baseline, pipeline: str) -> list[MeasuredLayout]:
    """The same layouts with the means of the baseline and the limits of drifts.

    Raises FileError for a baseline of another pipeline or of another phantom.
    """
    if baseline.pipeline != pipeline:
        raise FileError(
            f"The baseline {baseline.path} was measured with the pipeline {baseline.pipeline}, and this test with "
            f"{pipeline}; give --pipeline {baseline.pipeline}, or another file."
        )
    if lacking := [one.layout.title for one in measured if one.layout.title not in baseline.means]:
        raise FileError(
            f"The baseline {baseline.path} is that of {' and '.join(baseline.means)}, and not of {lacking[0]}; give "
            "another file."
        )
    results = []
    for one in measured:
        means, drifts = baseline.means[one.layout.title], one.layout.drifts
        rows = []
        for row in one.rows:
            mean, error = means.get(row.map, {}).get(row.vial, (None, 0.0))
            limit = None
            # a vial whose value the map cannot show has no stable value either
            if mean is not None and row.map in drifts and row.shown:
                by_noise = STANDARD_ERRORS * math.hypot(error, row.standard_error)
                limit = max(drifts[row.map].of(mean), by_noise if math.isfinite(by_noise) else 0.0)
            rows.append(replace(row, baseline=mean, drift_limit=limit))
        results.append(one.with_rows(rows))
    return results
