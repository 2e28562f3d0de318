"""The grammar of the stream: who may say what, and when."""

from enum import Enum, auto

from spokestream.pipelines.wire.ids import OLD_IMAGES, MessageId

__all__ = ["FIRST_STATE", "MAY_SAY", "PEER", "Role", "State", "next_state"]


class Role(Enum):
    """The two ends of the two legs."""

    SERVER = auto()
    """Reconstructs; the peer is a scanner or another client."""
    CLIENT = auto()
    CHILD = auto()
    """A Gadgetron external module."""
    PARENT = auto()
    """Gadgetron, seen from its external module."""


class State(Enum):
    """What one end has yet to say."""

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
"""Only those who ask for a reconstruction introduce it; those who answer have nothing to say first."""

DATA = frozenset({MessageId.ACQUISITION, MessageId.IMAGE, MessageId.WAVEFORM, *OLD_IMAGES})
OPENING = frozenset({MessageId.CONFIG_FILE, MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.CLOSE, *DATA})
DICOMS = frozenset({MessageId.DICOM, MessageId.DICOM_WITH_NAME})

MAY_SAY = {
    Role.CLIENT: OPENING | {MessageId.TEXT, MessageId.QUERY} | DICOMS,
    Role.PARENT: OPENING | {MessageId.TEXT},
    Role.SERVER: DATA | DICOMS | {MessageId.TEXT, MessageId.RESPONSE, MessageId.DEPENDENCY_REPLY, MessageId.CLOSE},
    Role.CHILD: DATA | DICOMS | {MessageId.ERROR, MessageId.CLOSE},
}
"""Clients die of an ERROR from a server, Gadgetron of a TEXT from a module."""

ANY_TIME = frozenset({MessageId.TEXT, MessageId.QUERY})

TRANSITIONS = {
    State.EXPECT_CONFIG: {
        MessageId.CONFIG_FILE: State.EXPECT_HEADER,
        MessageId.CONFIG_TEXT: State.EXPECT_HEADER,
        **dict.fromkeys(ANY_TIME, State.EXPECT_CONFIG),
        MessageId.CLOSE: State.CLOSED,
    },
    State.EXPECT_HEADER: {
        MessageId.HEADER: State.STREAMING,
        **dict.fromkeys(ANY_TIME, State.EXPECT_HEADER),
        MessageId.CLOSE: State.CLOSED,
    },
    State.STREAMING: {
        **dict.fromkeys(
            set(MessageId) - {MessageId.CONFIG_FILE, MessageId.CONFIG_TEXT, MessageId.HEADER}, State.STREAMING
        ),
        MessageId.CLOSE: State.CLOSED,
    },
    State.CLOSED: {},
    State.ERROR: {},
}


def next_state(speaker: Role, state: State, message_id: MessageId) -> State | None:
    """Where the speaker stands after this message; None when the grammar does not have it."""
    return TRANSITIONS[state].get(message_id) if message_id in MAY_SAY[speaker] else None
