"""The scan in the recording of a session, which can be reconstructed again, for instance to find an error."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import ismrmrd

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.client_texts import read_parameters
from spokestream.pipelines.node.recording import MAGIC, read_recording

__all__ = ["RecordedScan", "is_recording"]


def is_recording(path: Path) -> bool:
    """Whether the file begins like a recording."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class RecordedScan:
    """The scan that a client sent in a session, up to its end or up to an error. It can be iterated several times."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def xml(self) -> str:
        """The ISMRMRD header. Raises ScanError if the client sent none."""
        for event in self._events():
            if isinstance(event, wire.Header):
                return event.xml
        raise ScanError(f"The recording {self.path} holds no ISMRMRD header.")

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

    @cached_property
    def n_acquisitions(self) -> int:
        """The number of acquisitions that the iteration gives."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        for event in self._events():
            if isinstance(event, wire.Data) and isinstance(event.item, ismrmrd.Acquisition):
                yield event.item

    def _events(self) -> Iterator[wire.Event]:
        connection = wire.Connection(wire.Role.SERVER)
        for _, data in read_recording(self.path):
            if connection.their_state is wire.State.CLOSED:
                return
            try:
                yield from connection.receive_data(data)
            except wire.RemoteProtocolError as error:
                yield from error.events
                return
