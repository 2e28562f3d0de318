"""The scan in a pipe: a stream of messages on standard input, which is read as it comes."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.files.message_scan import PIECE_BYTES, MessageScan, opening_of
from spokestream.pipelines.node.recording import MAGIC

__all__ = ["PIPE", "PipedScan"]

PIPE = "-"
"""Stands for standard input, or standard output, where a path is expected."""
HDF5 = b"\x89HDF\r\n\x1a\n"


class PipedScan(MessageScan):
    """The scan in a pipe. It can be iterated once, and its length is unknown.

    Raises ScanError if the pipe is empty or a terminal, or if it holds a file that only its path can name.
    """

    n_acquisitions = None

    def __init__(self, pipe: BinaryIO) -> None:
        super().__init__(Path("standard input"))
        self._pipe = pipe
        if pipe.isatty():
            raise ScanError("Nothing is piped into standard input; give the path of a scan, or pipe a stream.")
        self._first = pipe.read(len(HDF5))
        if not self._first:
            raise ScanError("Standard input is empty.")
        if self._first == HDF5:
            raise ScanError("Standard input is an HDF5 file, which cannot be read from a pipe; give its path.")
        if self._first == MAGIC:
            raise ScanError("Standard input is the recording of a session; give its path.")
        self._once = super()._events()

    @cached_property
    def xml(self) -> str:
        """The ISMRMRD header. Raises ScanError if there is none."""
        try:
            return super().xml
        except ScanError:
            raise ScanError(f"Standard input is no stream of ISMRMRD messages: {self._cut}.") from None

    def _events(self) -> Iterator[wire.Event]:
        return self._once

    def _pieces(self) -> Iterator[bytes]:
        yield from opening_of(self._first)
        read = getattr(self._pipe, "read1", self._pipe.read)  # what is there, without waiting for more
        while piece := read(PIECE_BYTES):
            yield piece
