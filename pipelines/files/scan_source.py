"""Whatever a scan can be reconstructed from: ISMRMRD in HDF5, a stream in a file or a pipe, a recorded session."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import ismrmrd

from spokestream.pipelines.files.foreign_file import check_readable
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.message_scan import RecordedScan, StreamedScan, is_recording, is_stream
from spokestream.pipelines.files.piped_scan import PIPE, PipedScan

__all__ = ["ScanSource", "open_scan"]


class ScanSource(Protocol):
    """A source from which a scan can be replayed."""

    @property
    def xml(self) -> str:
        """The ISMRMRD header."""

    @property
    def n_acquisitions(self) -> int | None:
        """The number of acquisitions that the iteration gives; None if it is unknown before the end."""

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions in the order in which they came."""


def open_scan(path: str | Path) -> ScanSource:
    """The scan in a file, whatever its format, or in standard input for the path `-`.

    Raises ScanError, with one sentence that helps, for anything else.
    """
    path = Path(path)
    if str(path) == PIPE:
        return PipedScan(sys.stdin.buffer)
    check_readable(path)
    if is_recording(path):
        return RecordedScan(path)
    return StreamedScan(path) if is_stream(path) else read_scan(path)
