"""The report over all scans of an archive: `population.html`, and `population.csv` with one row for each value."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from spokestream.html_parts import figure, page, table
from spokestream.models.evaluation.look import STYLE, png
from spokestream.pipelines.archive.population.comparison import OUTLIER, PopulationRow, Summary, population, summaries
from spokestream.pipelines.archive.record import ScanRecord
from spokestream.pipelines.archive.table import counts
from spokestream.simulator.physics.quantities import QUANTITIES
from spokestream.whole_files import whole_file

__all__ = ["write_population"]

MOST_OUTLIERS = 200
"""Largest number of outliers in the table of one sequence."""
MOST_REGIONS = 12
"""Largest number of regions in one figure."""


def write_population(folder: Path, records: Sequence[ScanRecord]) -> list[str]:
    """Write the report; returns the names of its files. Raises FileError if they cannot be written."""
    rows = population(records)
    columns = [*PopulationRow.__dataclass_fields__, "outlier"]
    with whole_file(folder / "population.csv") as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(asdict(row) | {"outlier": row.is_outlier} for row in rows)
    with whole_file(folder / "population.html") as draft:
        draft.write_text(page("The scans of an archive", "".join(_body(records, rows)), STYLE), "utf-8")
    return ["population.html", "population.csv"]


def _body(records: Sequence[ScanRecord], rows: Sequence[PopulationRow]) -> Iterator[str]:
    yield f"<p>{len(records)} scans: {escape(counts(records))}.</p>"
    yield (
        "<p>The value of a scan is the median over the voxels of a region in which the map has a meaning; <i>tissue</i>"
        f" is all of them. A scan is an outlier if its robust z score is beyond {OUTLIER}: the distance of its value "
        "from the median of all scans of the same sequence, divided by 1.48 times the median of these distances.</p>"
    )
    found = summaries(rows)
    by_sequence = {name: list(group) for name, group in groupby(found, lambda summary: summary.group[0])}
    for sequence, group in by_sequence.items():
        yield f"<h2>{escape(sequence or 'unknown sequence')}</h2>"
        yield _summary_table("Values of the scans", [summary for summary in group if not summary.scanner])
        own = [row for row in rows if row.sequence == sequence]
        yield _outlier_table([row for row in own if row.is_outlier])
        if scanners := [summary for summary in group if summary.scanner]:
            yield _summary_table("Scanners compared", scanners)
        n_regions = len({row.region for row in own})
        cut = f" The first {MOST_REGIONS} of {n_regions} regions are shown." if n_regions > MOST_REGIONS else ""
        yield figure("values", f"One point for each scan; circles mark outliers.{cut}", png(_figure(own)))
    if unused := [record for record in records if record.values and record.sentence]:
        cells = [f'<td>{escape(record.scan)}</td><td class="text">{escape(record.sentence)}</td>' for record in unused]
        yield table("Scans without values by region", ("scan", "why"), cells)


def _summary_table(caption: str, found: Sequence[Summary]) -> str:
    by_scanner = any(summary.scanner for summary in found)
    heads = ["quantity", "region", *(["scanner"] if by_scanner else []), "scans", "lower quartile", "median",
             "upper quartile", "outliers"]  # fmt: skip
    cells = []
    for summary in found:
        _, name, region = summary.group
        digits = QUANTITIES[name].digits
        texts = [QUANTITIES[name].label, region, *([summary.scanner] if by_scanner else [])]
        numbers = [str(summary.scans), *(f"{v:{digits}}" for v in (summary.lower, summary.median, summary.upper))]
        numbers.append(str(summary.outliers or "–"))
        cells.append(_texts(texts) + "".join(f"<td>{number}</td>" for number in numbers))
    return table(caption, heads, cells)


def _outlier_table(rows: Sequence[PopulationRow]) -> str:
    if not rows:
        return "<p>No scan is an outlier.</p>"
    cells = []
    for row in sorted(rows, key=lambda row: -abs(row.z))[:MOST_OUTLIERS]:
        texts = row.scan, QUANTITIES[row.quantity].label, row.region, row.scanner
        cells.append(_texts(texts) + f'<td>{row.median:{QUANTITIES[row.quantity].digits}}</td>'
                     f'<td class="worse">{row.z:+.1f}</td>')  # fmt: skip
    caption = "Outliers"
    if len(rows) > MOST_OUTLIERS:
        caption = f"The {MOST_OUTLIERS} farthest of {len(rows)} outliers; population.csv has all of them"
    return table(caption, ("scan", "quantity", "region", "scanner", "median", "robust z"), cells)


def _texts(texts: Sequence[str]) -> str:
    return "".join(f'<td class="text">{escape(text)}</td>' for text in texts)


def _figure(rows: Sequence[PopulationRow]) -> Figure:
    """One panel for each quantity, and in it one line of points for each region, coloured by scanner."""
    quantities = list(dict.fromkeys(row.quantity for row in rows))
    regions = list(dict.fromkeys(row.region for row in rows))[:MOST_REGIONS]
    scanners = list(dict.fromkeys(row.scanner for row in rows))
    drawn = Figure((2.2 * len(quantities) + 1.5, 1.4 + 0.3 * len(regions)), layout="constrained")
    panels = drawn.subplots(1, len(quantities), squeeze=False, sharey=True)[0]
    for panel, quantity in zip(panels, quantities, strict=True):
        for number, scanner in enumerate(scanners):
            shown = [r for r in rows if (r.quantity, r.scanner) == (quantity, scanner) and r.region in regions]
            offset = 0.3 * (number + 0.5) / len(scanners) - 0.15
            points = np.array([(row.median, regions.index(row.region) + offset) for row in shown]).reshape(-1, 2)
            far = np.array([row.is_outlier for row in shown], bool)
            panel.scatter(*points.T, s=10, alpha=0.6, label=scanner, linewidths=0)
            panel.scatter(*points[far].T, s=60, facecolors="none", edgecolors="#b03024")
        panel.set_xlabel(QUANTITIES[quantity].label, fontsize=8)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(np.arange(len(regions)), regions)
    panels[0].set_ylim(len(regions) - 0.5, -0.5)
    if len(scanners) > 1:
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", fontsize=7, ncols=3)
    return drawn
