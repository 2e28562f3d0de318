"""Errors of the protocol.

ProtocolError            one sentence, like every SpokestreamError
├── LocalProtocolError   we tried to send a message that our role, the state or the content does not allow
└── RemoteProtocolError  the peer sent something unreadable, or hung up early; reading cannot be resumed
"""

from collections.abc import Sequence
from typing import Any

from spokestream.errors import SpokestreamError

__all__ = ["LocalProtocolError", "MalformedError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(SpokestreamError):
    """One end of the connection broke the protocol."""


class LocalProtocolError(ProtocolError):
    """We are at fault: the event is not allowed here, or it cannot be written."""


class RemoteProtocolError(ProtocolError):
    """The peer is at fault."""

    def __init__(self, sentence: str, *, message: int, offset: int, events: Sequence[Any] = ()) -> None:
        super().__init__(f"{sentence} (message {message}, byte {offset})")
        self.message = message
        """Index of the faulty message; the first has index 0."""
        self.offset = offset
        """Number of bytes that were read before the fault."""
        self.events = list(events)
        """The correct messages before the fault that the same call of `receive_data` completed."""


class MalformedError(Exception):
    """A message cannot be read. It stays inside `wire`: the connection adds the place in the stream."""
