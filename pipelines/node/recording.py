"""Recordings: the bytes of a session as they came, with the times at which they came. Replayed, they are the scan."""

import io
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from spokestream.errors import ScanError

__all__ = ["Recorder", "read_recording", "recording_path"]

MAGIC = b"SPOKEREC"
VERSION = 1
HEAD = struct.Struct("<8sHd")
"""Magic, version, start in seconds since 1970 (UTC)."""
CHUNK = struct.Struct("<dI")
"""Arrival in seconds since the start, number of bytes; then the bytes."""
MAX_CHUNK = 1 << 28
"""No session reads more at once; a longer chunk means a damaged file."""


def recording_path(folder: Path, session: str) -> Path:
    """Where to record a session that begins now."""
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}_{session}.spokes"


class Recorder:
    """Appends to a recording; what was written survives a crash of the node. Raises OSError as files do."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("xb")
        self._start = time.monotonic()
        self._file.write(HEAD.pack(MAGIC, VERSION, time.time()))

    def write(self, data: bytes) -> None:
        """Append bytes that have just come."""
        self._file.write(CHUNK.pack(time.monotonic() - self._start, len(data)))
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        """End the recording."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_recording(path: Path) -> Iterator[tuple[float, bytes]]:
    """Arrival in seconds since the start, and bytes. The last chunk of a crashed node may be cut short.

    Raises ScanError when the file is no recording, and OSError as files do.
    """
    with path.open("rb") as file:
        head = file.read(HEAD.size)
        if len(head) < HEAD.size or not head.startswith(MAGIC):
            raise ScanError(f"{path} is not a recording of this software.")
        _, version, _ = HEAD.unpack(head)
        if version != VERSION:
            raise ScanError(f"{path} is a recording of version {version}; this software reads version {VERSION}.")
        yield from _chunks(file, path)


def _chunks(file: io.BufferedReader, path: Path) -> Iterator[tuple[float, bytes]]:
    while len(head := file.read(CHUNK.size)) == CHUNK.size:
        seconds, n_bytes = CHUNK.unpack(head)
        if n_bytes > MAX_CHUNK or not seconds >= 0:
            raise ScanError(f"{path} is damaged before byte {file.tell()}.")
        if data := file.read(n_bytes):
            yield seconds, data
