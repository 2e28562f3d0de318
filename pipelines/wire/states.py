"""The grammar of the stream: who may send which message, and when."""

from enum import Enum, auto
from typing import Any

from spokestream.pipelines.wire.codec import KIND_BY_ID
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.messages import acquisition, dicom, image, waveform
from spokestream.pipelines.wire.messages.opening import CLOSE, CONFIG_FILE, CONFIG_TEXT, HEADER
from spokestream.pipelines.wire.messages.questions import DEPENDENCY_REPLY, QUERY, RESPONSE
from spokestream.pipelines.wire.messages.text import ERROR, TEXT

__all__ = ["FIRST_STATE", "MAY_SEND", "PEER", "Role", "State", "next_state"]


class Role(Enum):
    """The two ends of the two legs: client and server, Gadgetron and its external module."""

    SERVER = auto()
    """The reconstruction server; its peer is a scanner or another client."""
    CLIENT = auto()
    CHILD = auto()
    """A Gadgetron external module."""
    PARENT = auto()
    """Gadgetron, seen from its external module."""


class State(Enum):
    """How far one end of the connection has come. The values complete the sentences of errors."""

    EXPECT_CONFIG = "before the configuration"
    EXPECT_HEADER = "before the header"
    STREAMING = "after the header"
    CLOSED = "after CLOSE"
    ERROR = "after an error"


PEER = {Role.SERVER: Role.CLIENT, Role.CLIENT: Role.SERVER, Role.CHILD: Role.PARENT, Role.PARENT: Role.CHILD}

FIRST_STATE = {
    Role.CLIENT: State.EXPECT_CONFIG,
    Role.PARENT: State.EXPECT_CONFIG,
    Role.SERVER: State.STREAMING,
    Role.CHILD: State.STREAMING,
}
"""Clients and Gadgetron send a configuration and a header first; servers and modules have neither to send."""

DATA = (*acquisition.KINDS, *image.KINDS, *waveform.KINDS)
SCAN: tuple[MessageKind[Any], ...] = (CONFIG_FILE, CONFIG_TEXT, HEADER, *DATA, CLOSE)

MAY_SEND: dict[Role, frozenset[MessageKind[Any]]] = {
    Role.CLIENT: frozenset({*SCAN, *dicom.KINDS, TEXT, QUERY}),
    Role.PARENT: frozenset({*SCAN, TEXT}),
    Role.SERVER: frozenset({*DATA, *dicom.KINDS, TEXT, RESPONSE, DEPENDENCY_REPLY, CLOSE}),
    Role.CHILD: frozenset({*DATA, *dicom.KINDS, ERROR, CLOSE}),
}
"""An ERROR from a server crashes clients, and a TEXT from a module ends Gadgetron's session."""

AFTER_HEADER = frozenset(KIND_BY_ID.values()) - {CONFIG_FILE, CONFIG_TEXT, HEADER, CLOSE}

TRANSITIONS: dict[State, dict[MessageKind[Any], State]] = {
    State.EXPECT_CONFIG: {
        CONFIG_FILE: State.EXPECT_HEADER,
        CONFIG_TEXT: State.EXPECT_HEADER,
        TEXT: State.EXPECT_CONFIG,
        QUERY: State.EXPECT_CONFIG,
        CLOSE: State.CLOSED,
    },
    State.EXPECT_HEADER: {
        HEADER: State.STREAMING,
        TEXT: State.EXPECT_HEADER,
        QUERY: State.EXPECT_HEADER,
        CLOSE: State.CLOSED,
    },
    State.STREAMING: {
        **dict.fromkeys(AFTER_HEADER, State.STREAMING),
        CLOSE: State.CLOSED,
    },
    State.CLOSED: {},
    State.ERROR: {},
}


def next_state(sender: Role, state: State, kind: MessageKind[Any]) -> State | None:
    """The sender's state after this message; None when the grammar does not allow the message."""
    return TRANSITIONS[state].get(kind) if kind in MAY_SEND[sender] else None
