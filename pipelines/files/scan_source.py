"""Any file from which a scan can be reconstructed: ISMRMRD in HDF5, a stream of messages, a recorded session."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import ismrmrd

from spokestream.pipelines.files.foreign_file import check_readable
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.message_scan import RecordedScan, StreamedScan, is_recording, is_stream

__all__ = ["ScanSource", "open_scan"]


class ScanSource(Protocol):
    """A source from which a scan can be replayed."""

    @property
    def xml(self) -> str:
        """The ISMRMRD header."""

    @property
    def n_acquisitions(self) -> int:
        """The number of acquisitions that the iteration gives."""

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions in the order in which they came."""


def open_scan(path: str | Path) -> ScanSource:
    """The scan in a file, whatever its format. Raises ScanError, with one sentence that helps, for anything else."""
    path = Path(path)
    check_readable(path)
    if is_recording(path):
        return RecordedScan(path)
    return StreamedScan(path) if is_stream(path) else read_scan(path)
