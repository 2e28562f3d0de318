"""Scans in files of wire messages: the recording of a session, and a stream that a converter wrote."""

import logging
import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import ismrmrd

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.client_texts import read_parameters
from spokestream.pipelines.node.recording import MAGIC, read_recording

__all__ = [
    "PIECE_BYTES", "MessageScan", "RecordedScan", "StreamedScan", "holds_messages", "is_recording", "is_stream",
    "opening_of",
]  # fmt: skip

PIECE_BYTES = 1 << 20
CONFIG_FILE, CONFIG_TEXT, HEADER = 1, 2, 3
"""Message ids with which a stream in a file may begin."""
STREAM_HEAD = struct.Struct("<HI")
"""Id, and length of the text, of the first message."""


def is_recording(path: Path) -> bool:
    """Whether the file begins like a recording."""
    return _first_bytes(path, len(MAGIC)) == MAGIC


def is_stream(path: Path) -> bool:
    """Whether the file begins like a stream: with a configuration, or with the header of a scan."""
    head = _first_bytes(path, STREAM_HEAD.size + 64)
    if len(head) < STREAM_HEAD.size:
        return False
    number, n_bytes = STREAM_HEAD.unpack_from(head)
    if number == CONFIG_FILE:
        return head[2:3].isalnum()
    text = head[STREAM_HEAD.size :].lstrip(b"\xef\xbb\xbf \t\r\n")
    return number in (CONFIG_TEXT, HEADER) and n_bytes <= wire.Limits().header and text.startswith(b"<")


def holds_messages(path: Path) -> bool:
    """Whether the file is a recording or a stream."""
    return is_recording(path) or is_stream(path)


class MessageScan:
    """The scan in a file of messages, up to its end or up to an error. It can be iterated several times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cut = ""

    @cached_property
    def xml(self) -> str:
        """The ISMRMRD header. Raises ScanError if there is none."""
        for event in self._events():
            if isinstance(event, wire.Header):
                return event.xml
        raise ScanError(f"{self.path} holds no ISMRMRD header.")

    @cached_property
    def n_acquisitions(self) -> int | None:
        """The number of acquisitions that the iteration gives; None if it is unknown before the end."""
        return sum(1 for _ in self._acquisitions())

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions in the order of the file. A warning in the log says if the file ends before the scan."""
        yield from self._acquisitions()
        self._warn_if_cut()

    def items(self) -> Iterator[Any]:
        """All acquisitions, waveforms and images in the order of the file, with the same warning.

        Warnings in the stream are passed on to the log. Raises ScanError if a text in it reports a failure.
        """
        _ = self.xml
        for event in self._events():
            if isinstance(event, wire.Data):
                yield event.item
            elif isinstance(event, wire.Text):
                self._hear(event.text.strip())
        self._warn_if_cut()

    def _hear(self, text: str) -> None:
        """Pass on a warning of whoever made the stream. Raises ScanError if the text says that the work failed."""
        if text.startswith("ERROR"):
            raise ScanError(f"The maker of {self.path.name} reports a failure: {text.removeprefix('ERROR').strip()}")
        if text.startswith("WARNING"):
            logging.getLogger("spokestream").warning("%s", text.removeprefix("WARNING").strip())

    def _warn_if_cut(self) -> None:
        if self._cut:
            logging.getLogger("spokestream").warning("%s ends before the scan does: %s", self.path.name, self._cut)

    def _acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        for event in self._events():
            if isinstance(event, wire.Data) and isinstance(event.item, ismrmrd.Acquisition):
                yield event.item

    def _events(self) -> Iterator[wire.Event]:
        connection = wire.Connection(wire.Role.SERVER)
        try:
            for data in self._pieces():
                if connection.their_state is wire.State.CLOSED:
                    return
                yield from connection.receive_data(data)
            yield from connection.receive_data(b"")
        except wire.RemoteProtocolError as error:
            self._cut = str(error)
            yield from error.events

    def _pieces(self) -> Iterator[bytes]:
        """The bytes of the messages, in pieces of any size, none of which is empty."""
        raise NotImplementedError


class RecordedScan(MessageScan):
    """The scan that a client sent in a session."""

    @cached_property
    def config(self) -> str:
        """The configuration that the client asked for: a name or XML."""
        for event in self._events():
            if isinstance(event, wire.ConfigFile):
                return event.name
            if isinstance(event, wire.ConfigText):
                return event.text
        raise ScanError(f"The recording {self.path} names no configuration.")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Pipeline settings that the client asked for."""
        values: dict[str, Any] = {}
        for event in self._events():
            if isinstance(event, wire.Data):
                break
            if isinstance(event, wire.Text):
                values |= read_parameters(event.text) or {}
        return values

    def _pieces(self) -> Iterator[bytes]:
        return (data for _, data in read_recording(self.path))


class StreamedScan(MessageScan):
    """The scan that a converter wrote as a stream, for instance siemens_to_ismrmrd 1.3."""

    def _pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            yield from opening_of(file.read(STREAM_HEAD.size))
            while piece := file.read(PIECE_BYTES):
                yield piece


def opening_of(first: bytes) -> Iterator[bytes]:
    """The first bytes of a stream, after a configuration if they lack it: the protocol wants one before the header."""
    if first[:2] == HEADER.to_bytes(2, "little"):
        yield CONFIG_FILE.to_bytes(2, "little") + bytes(1024)
    yield first


def _first_bytes(path: Path, n: int) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(n)
