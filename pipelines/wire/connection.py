"""The protocol without the network: received bytes become events, and events become bytes to be sent."""

import sys
from collections.abc import Generator
from typing import Any

from spokestream.pipelines.wire.codec import encode, kind_of_id
from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError, RemoteProtocolError
from spokestream.pipelines.wire.fields import U16, Buffer, Passage, take_number
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import Event, MessageKind
from spokestream.pipelines.wire.states import FIRST_STATE, PEER, Role, State, next_state

__all__ = ["Connection"]


class Connection:
    """The protocol as one of its four roles sees it.

    It does no I/O: the caller passes it the bytes that were received, and sends the bytes that it returns.
    After a RemoteProtocolError nothing more can be read, because nothing marks where the next message begins. Sending
    still works, so that the peer can be told.

    Args:
        role: who we are.
        limits: the largest sizes that are accepted.
        decodes: whether acquisitions and waveforms become `Data`. Otherwise they become `Undecoded`, after the same
            checks.
        most_events: largest number of events that are read at once, for a caller that has others to serve: a chunk of
            1 MiB may hold 170,000 messages.

    """

    def __init__(
        self, role: Role, limits: Limits | None = None, *, decodes: bool = True, most_events: int = sys.maxsize
    ) -> None:
        self.role = role
        self.limits = limits or Limits()
        self.our_state = FIRST_STATE[role]
        self.their_state = FIRST_STATE[PEER[role]]
        self.message_index = 0
        """Number of messages read so far."""
        self.offset = 0
        """Number of bytes read so far."""
        self._decodes, self._most_events = decodes, most_events
        self._rest = memoryview(b"")
        self._events: list[Event] = []
        self._filled = 0
        self._parser = self._parse()
        self._target: memoryview | Passage = next(self._parser)

    @property
    def has_more(self) -> bool:
        """Whether received bytes are left for `more`."""
        return bool(self._rest)

    @property
    def tail(self) -> bytes:
        """The last received bytes, if they are left for `more` or are the beginning of a message's id."""
        begun = b""
        if isinstance(self._target, memoryview) and len(self._target) == U16.size:
            begun = bytes(self._target[: self._filled])
        return begun + bytes(self._rest[-U16.size :])

    def more(self) -> list[Event]:
        """The next events of the bytes that were received, as from `receive_data`."""
        rest, self._rest = self._rest, memoryview(b"")
        return self.receive_data(rest)

    def receive_data(self, data: bytes | memoryview) -> list[Event]:
        """The events that these bytes complete, at most `most_events`. Empty bytes mean that the peer hung up.

        If there may be more events in these bytes, `has_more` is true, and `more` gives them; it must be called before
        other bytes are received.

        Raises RemoteProtocolError, and nothing else, whatever the bytes are.
        """
        if not data:
            return self._hang_up()
        if self.their_state in (State.CLOSED, State.ERROR):
            raise self._fault(f"{len(data)} bytes came {self.their_state.value}")
        reason = ""
        try:
            self._consume(memoryview(data))
        except MalformedError as error:
            reason = str(error)
        if reason:  # raised outside the handler, because an error's context keeps the received bytes in memory
            raise self._fault(reason)
        events, self._events = self._events, []
        return events

    def send(self, event: Event) -> list[Buffer]:
        """The event as buffers, to be sent one after the other; they share memory with the event's arrays.

        Raises LocalProtocolError when role, state or content forbid the message; the connection is then unchanged.
        """
        kind, body = encode(event)
        state = next_state(self.role, self.our_state, kind)
        if state is None:
            raise LocalProtocolError(f"A {self.role.name} cannot send {kind.name} {self.our_state.value}.")
        self.our_state = state
        return [U16.pack(kind.id), *body]

    def close(self) -> None:
        """Release the memory of a message of which only a part has come. Nothing can be read any more."""
        self._parser.close()
        self._target = memoryview(b"")

    def _consume(self, view: memoryview) -> None:
        while view:
            if len(self._events) >= self._most_events:
                self._rest = view
                return
            n = min(len(view), len(self._target) - self._filled)
            if isinstance(self._target, Passage):
                self._target.add(view[:n])
            else:
                self._target[self._filled : self._filled + n] = view[:n]
            view = view[n:]
            self._filled += n
            self._advance()
            if view and self.their_state is State.CLOSED:
                raise MalformedError(f"{len(view)} bytes came after CLOSE")

    def _advance(self) -> None:
        """Continue the parser whenever the memory that it asked for is full; it may have asked for none."""
        while self._filled == len(self._target):
            self.offset += self._filled
            self._filled = 0
            self._target = next(self._parser)

    def _parse(self) -> Generator[memoryview | Passage, None, None]:
        while True:
            kind, state = self._expect((yield from take_number(U16)))
            read = kind.read if self._decodes or kind.frame is None else kind.frame
            event = yield from read(self.limits)
            self._events.append(event)
            self.message_index += 1
            self.their_state = state

    def _expect(self, number: int) -> tuple[MessageKind[Any], State]:
        """The kind of message that an id announces, and the peer's state after it. Raises MalformedError."""
        kind = kind_of_id(number)
        sender = PEER[self.role]
        state = next_state(sender, self.their_state, kind)
        if state is None:
            raise MalformedError(f"a {sender.name} does not send {kind.name} {self.their_state.value}")
        return kind, state

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
