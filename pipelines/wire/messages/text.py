"""Messages for people: text in both directions, and the error of a Gadgetron external module."""

from dataclasses import dataclass

from spokestream.pipelines.wire.fields import U32, U64, Buffer, Fill, encoded, take_text
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import Event, MessageKind

__all__ = ["ERROR", "KINDS", "TEXT", "ErrorText", "Text"]


@dataclass(frozen=True, slots=True)
class Text(Event):
    """A log line, an error reported to a client, or the JSON parameters from a scanner's console."""

    text: str


@dataclass(frozen=True, slots=True)
class ErrorText(Event):
    """The failure of a Gadgetron external module, reported to Gadgetron. Clients do not know this message."""

    text: str


def _read_text(limits: Limits) -> Fill[Text]:
    return Text((yield from take_text(U32, limits.text, "a text")))


def _write_text(event: Text) -> list[Buffer]:
    return [encoded(event.text, U32)]


def _read_error(limits: Limits) -> Fill[ErrorText]:
    return ErrorText((yield from take_text(U64, limits.text, "an error")))


def _write_error(event: ErrorText) -> list[Buffer]:
    return [encoded(event.text, U64)]


TEXT = MessageKind(5, "TEXT", Text, _read_text, _write_text)
"""Body: uint32 length, text."""
ERROR = MessageKind(8, "ERROR", ErrorText, _read_error, _write_error)
"""Body: uint64 length, text."""

KINDS = (TEXT, ERROR)
