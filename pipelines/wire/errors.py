"""Who broke the protocol.

ProtocolError
├── LocalProtocolError   we tried to say what our role or the state of the connection does not allow
└── RemoteProtocolError  the peer sent what cannot be read; the stream cannot be resumed
"""

from collections.abc import Sequence
from typing import Any

from spokestream.errors import SpokestreamError

__all__ = ["LocalProtocolError", "MalformedError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(SpokestreamError):
    """The protocol was broken; the message is one sentence."""


class LocalProtocolError(ProtocolError):
    """We are at fault: the event may not or cannot be sent."""


class RemoteProtocolError(ProtocolError):
    """The peer is at fault."""

    def __init__(self, sentence: str, *, message: int, offset: int, events: Sequence[Any] = ()) -> None:
        super().__init__(f"{sentence} (message {message}, byte {offset})")
        self.message = message
        """Index of the offending message, from 0."""
        self.offset = offset
        """Bytes of the stream that had been understood."""
        self.events = list(events)
        """What the peer had properly said before, in the same call of `receive_data`."""


class MalformedError(ValueError):
    """A body cannot be read. Never leaves the codec: the connection adds where in the stream it was."""
