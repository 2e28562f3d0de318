"""One end of a connection, without the connection: bytes in, events out; events in, bytes out."""

import struct
from collections.abc import Generator

from spokestream.pipelines.wire.codec import encode, read_body
from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError, RemoteProtocolError
from spokestream.pipelines.wire.events import Event
from spokestream.pipelines.wire.fill import Buffer, take_number
from spokestream.pipelines.wire.ids import REFUSED, MessageId
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.states import FIRST_STATE, PEER, Role, State, next_state

__all__ = ["Connection"]

U16 = struct.Struct("<H")
KNOWN = frozenset(MessageId)


class Connection:
    """The protocol as one of its four roles sees it. It does no I/O: a shell feeds it and sends what it returns.

    After a RemoteProtocolError nothing more can be read, as no message is framed; sending still works, so that
    the peer can be told.
    """

    def __init__(self, role: Role, limits: Limits | None = None) -> None:
        self.role = role
        self.limits = limits or Limits()
        self.our_state = FIRST_STATE[role]
        self.their_state = FIRST_STATE[PEER[role]]
        self.message_index = 0
        """Messages understood."""
        self.offset = 0
        """Bytes understood."""
        self._events: list[Event] = []
        self._filled = 0
        self._parser = self._parse()
        self._target = next(self._parser)

    def receive_data(self, data: bytes) -> list[Event]:
        """The events completed by these bytes; `b""` says that the peer hung up.

        Raises RemoteProtocolError, and nothing else, whatever the bytes are.
        """
        if not data:
            return self._hang_up()
        if self.their_state in (State.CLOSED, State.ERROR):
            raise self._fault(f"{len(data)} bytes came {self.their_state.value}")
        try:
            self._consume(memoryview(data))
        except MalformedError as error:
            raise self._fault(str(error)) from None
        events, self._events = self._events, []
        return events

    def send(self, event: Event) -> list[Buffer]:
        """The event as buffers to be written in turn; they share memory with the event's arrays.

        Raises LocalProtocolError when role, state or content forbid it; then nothing was said.
        """
        message_id, body = encode(event)
        state = next_state(self.role, self.our_state, message_id)
        if state is None:
            raise LocalProtocolError(f"A {self.role.name} cannot send {message_id.name} {self.our_state.value}.")
        self.our_state = state
        return [U16.pack(message_id), *body]

    def _consume(self, view: memoryview) -> None:
        while view:
            n = min(len(view), len(self._target) - self._filled)
            self._target[self._filled : self._filled + n] = view[:n]
            view = view[n:]
            self._filled += n
            self._advance()
            if view and self.their_state is State.CLOSED:
                raise MalformedError(f"{len(view)} bytes came after CLOSE")

    def _advance(self) -> None:
        """Let the parser go on whenever it has what it asked for, which may be nothing."""
        while self._filled == len(self._target):
            self.offset += self._filled
            self._filled = 0
            self._target = next(self._parser)

    def _parse(self) -> Generator[memoryview, None, None]:
        while True:
            message_id = self._legal((yield from take_number(U16)))
            event = yield from read_body(message_id, self.limits)
            self._events.append(event)
            self.message_index += 1
            state = next_state(PEER[self.role], self.their_state, message_id)
            assert state is not None
            self.their_state = state

    def _legal(self, number: int) -> MessageId:
        if number in REFUSED:
            raise MalformedError(f"a {REFUSED[number]} (id {number}) has no place in this stream")
        if number not in KNOWN:
            raise MalformedError(f"{number} is no message id")
        message_id = MessageId(number)
        speaker = PEER[self.role]
        if next_state(speaker, self.their_state, message_id) is None:
            raise MalformedError(f"a {speaker.name} does not send {message_id.name} {self.their_state.value}")
        return message_id

    def _hang_up(self) -> list[Event]:
        if self.their_state is State.CLOSED:
            return []
        rest = f", {self._filled} bytes into a part of {len(self._target)}" if self._filled else ""
        raise self._fault(f"the stream ended without CLOSE{rest}")

    def _fault(self, sentence: str) -> RemoteProtocolError:
        self.their_state = State.ERROR
        events, self._events = self._events, []
        sentence = sentence[0].upper() + sentence[1:]
        return RemoteProtocolError(sentence, message=self.message_index, offset=self.offset, events=events)
