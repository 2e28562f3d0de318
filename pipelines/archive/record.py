"""The record of a scan of an archive, which is written beside its maps when they are complete."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spokestream import __version__
from spokestream.pipelines.archive.population.values import RegionValues
from spokestream.pipelines.archive.scans.identity import FileState, digest_of, state_of
from spokestream.whole_files import whole_file

__all__ = ["DONE", "DONE_BEFORE", "FAILED", "RECORD", "SAME_SCAN", "ScanRecord", "finished_record", "write_record"]

RECORD = "archive.json"
"""Name of the record in the folder of the results."""
DONE, DONE_BEFORE, FAILED, SAME_SCAN = "done", "done before", "failed", "same scan"
"""What can become of a scan; a copy of another scan is not reconstructed."""


@dataclass(frozen=True)
class ScanRecord:
    """What became of one scan."""

    scan: str
    outcome: str
    sentence: str = ""
    """Why it failed, of which scan it is a copy, or why labels were not used."""
    seconds: float = 0.0
    """Time of the worker, from reading to the last file."""
    sequence: str = ""
    pipeline: str = ""
    warnings: int = 0
    scanner: str = ""
    """Vendor, model, field strength and institution, as far as the header names them."""
    n_bytes: int = 0
    """Size of the scan file."""
    n_written: int = 0
    """Bytes of the results."""
    changed_ns: int = 0
    """Time of the last change of the scan file."""
    digest: str = ""
    """SHA-256 of the scan file."""
    settings: str = ""
    """Digest of pipeline, settings and formats."""
    versions: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    """The files of the results."""
    labels: str = ""
    """Digest of the labels by which `values` were computed; empty without labels."""
    values: list[RegionValues] = field(default_factory=list)


def write_record(folder: Path, record: ScanRecord) -> None:
    """Write the record of a finished scan. Raises FileError if the folder cannot be written."""
    with whole_file(folder / RECORD) as draft:
        draft.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n", "utf-8")


def finished_record(folder: Path, path: Path, settings: str) -> ScanRecord | None:
    """The record of a scan whose results are complete, and were made by this version of the software.

    Args:
        folder: the folder of the results.
        path: the scan file. If its time has changed, its content is compared.
        settings: digest of pipeline, settings and formats.

    Returns None if there is none, or if it belongs to another file or to other settings.

    """
    try:
        fields: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        record = ScanRecord(**fields | {"values": [RegionValues(**row) for row in fields["values"]]})
        state = state_of(path)
        same_scan = state == FileState(record.n_bytes, record.changed_ns) or (
            state.n_bytes == record.n_bytes and digest_of(path) == record.digest
        )
    except (OSError, ValueError, TypeError, LookupError):
        return None
    same_work = (record.settings, record.versions.get("spokestream")) == (settings, __version__)
    complete = all((folder / name).is_file() for name in record.files)
    return record if same_scan and same_work and complete else None
