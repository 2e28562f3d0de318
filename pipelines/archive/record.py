"""The record of a scan of an archive, which is written beside its maps when they are complete."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spokestream.pipelines.archive.identity import FileState, digest_of, state_of
from spokestream.pipelines.archive.values import RegionValues
from spokestream.whole_files import whole_file

__all__ = ["DONE", "DONE_BEFORE", "FAILED", "RECORD", "SAME_SCAN", "ScanRecord", "read_record", "write_record"]

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

    def holds_for(self, folder: Path, path: Path, settings: str, version: str) -> bool:
        """Whether the results are complete, and were made of this file with these settings and this software.

        Args:
            folder: the folder of the results.
            path: the scan file. If its size or time has changed, its content is compared.
            settings: digest of pipeline, settings and formats.
            version: the version of this software.

        """
        if (self.settings, self.versions.get("spokestream")) != (settings, version):
            return False
        if not all((folder / name).is_file() for name in self.files):
            return False
        state = state_of(path)
        return state == FileState(self.n_bytes, self.changed_ns) or (
            state.n_bytes == self.n_bytes and digest_of(path) == self.digest
        )


def write_record(folder: Path, record: ScanRecord) -> None:
    """Write the record of a finished scan. Raises FileError if the folder cannot be written."""
    with whole_file(folder / RECORD) as draft:
        draft.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_record(folder: Path) -> ScanRecord | None:
    """The record in a folder of results, as of an earlier run; None if there is none that can be read."""
    try:
        fields: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        record = ScanRecord(**fields | {"values": [RegionValues(**row) for row in fields["values"]]})
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return replace(record, outcome=DONE_BEFORE)
