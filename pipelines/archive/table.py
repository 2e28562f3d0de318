"""The table of what became of the scans of an archive: on the console, as CSV and as JSON."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from spokestream.pipelines.archive.record import DONE, DONE_BEFORE, FAILED, SAME_SCAN, ScanRecord
from spokestream.whole_files import whole_file

__all__ = ["COLUMNS", "console_table", "counts", "write_table"]

COLUMNS = ("scan", "outcome", "sentence", "seconds", "sequence", "pipeline", "warnings", "scanner")
MOST_ROWS = 60
"""Largest number of scans of which all are shown on the console; of more, those with something to say are shown."""


def write_table(folder: Path, records: Sequence[ScanRecord]) -> None:
    """Write `scans.csv` and `scans.json`, one row for each scan. Raises FileError if they cannot be written."""
    rows = [_row(record) for record in records]
    with whole_file(folder / "scans.csv") as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    with whole_file(folder / "scans.json") as draft:
        draft.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", "utf-8")


def console_table(records: Sequence[ScanRecord]) -> Table | None:
    """The table for the console; None if there are many scans and none of them needs a word."""
    shown = [
        record
        for record in records
        if len(records) <= MOST_ROWS or record.warnings or record.outcome not in (DONE, DONE_BEFORE)
    ]
    if not shown:
        return None
    title = "Scans" if len(shown) == len(records) else f"{len(shown)} of {len(records)} scans; all are in scans.csv"
    table = Table(title=title, title_style="bold", header_style="bold")
    for column in ("scan", "outcome"):
        table.add_column(column, overflow="fold")
    for column in ("s", "warnings"):
        table.add_column(column, justify="right")
    table.add_column("what")
    for record in shown:
        style = {FAILED: "red", SAME_SCAN: "yellow"}.get(record.outcome, "")
        seconds = f"{record.seconds:.1f}" if record.seconds else "–"
        what = record.sentence or f"{record.pipeline}, {record.sequence}"
        table.add_row(
            escape(record.scan), record.outcome, seconds, str(record.warnings or "–"), escape(what), style=style
        )
    return table


def counts(records: Sequence[ScanRecord]) -> str:
    """How many scans had which outcome, in words: "198 done, 1 failed, 1 same scan"."""
    numbers = Counter(record.outcome for record in records)
    return ", ".join(f"{numbers[o]} {o}" for o in (DONE, DONE_BEFORE, FAILED, SAME_SCAN) if numbers[o])


def _row(record: ScanRecord) -> dict[str, str | int | float]:
    return {name: getattr(record, name) for name in COLUMNS} | {"seconds": round(record.seconds, 2)}
