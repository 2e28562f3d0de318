"""Recordings: the received bytes of a session with their arrival times, from which the scan can be reconstructed."""

import io
import os
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
"""Head of the file: magic, version, start in seconds since 1970 (UTC)."""
CHUNK = struct.Struct("<dI")
"""Head of a chunk: arrival in seconds since the start, number of bytes. The bytes follow."""
MAX_CHUNK = 1 << 28
"""Largest number of bytes in a chunk. No session reads more at once, so that a longer chunk means a damaged file."""


def recording_path(folder: Path, session: str) -> Path:
    """The path for the recording of a session that begins now."""
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}_{session}.spokes"


class Recorder:
    """Writes a recording. Bytes that were written are kept if the node crashes. Raises OSError if writing fails."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.n_bytes = 0
        """Size of the file."""
        # only the owner may read what may be patients' data
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._start = time.monotonic()
        self.n_bytes += self._file.write(HEAD.pack(MAGIC, VERSION, time.time()))

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._file.closed

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes that have just been received."""
        self.n_bytes += self._file.write(CHUNK.pack(time.monotonic() - self._start, len(data)))
        self.n_bytes += self._file.write(data)
        self._file.flush()

    def sync(self) -> None:
        """Wait until everything is on the disk, so that it is kept if the machine loses power."""
        os.fsync(self._file.fileno())

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
    """Yields arrival times in seconds since the start, and bytes. After a crash, the last chunk may be incomplete.

    Raises ScanError if the file is no recording, and OSError if it cannot be read.
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
