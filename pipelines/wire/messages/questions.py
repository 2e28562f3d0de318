"""Questions to the server and its answers: queries about the server itself, and noise dependencies."""

from dataclasses import dataclass

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fields import U64, Buffer, Fill, encoded, take, take_number, take_text
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import Event, MessageKind

__all__ = ["DEPENDENCY_REPLY", "KINDS", "QUERY", "RESPONSE", "DependencyReply", "Query", "Response"]


@dataclass(frozen=True, slots=True)
class Query(Event):
    """A question about the server itself."""

    correlation_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Response(Event):
    """The answer to the Query with the same correlation id."""

    correlation_id: int
    text: str


@dataclass(frozen=True, slots=True)
class DependencyReply(Event):
    """What the server knows of a noise measurement, as ISMRMRD meta XML."""

    meta: str


def _read_query(limits: Limits) -> Fill[Query]:
    yield from take(U64.size)
    correlation_id = yield from take_number(U64)
    return Query(correlation_id, (yield from take_text(U64, limits.text, "a query")))


def _write_query(event: Query) -> list[Buffer]:
    return [U64.pack(0) + _correlation(event.correlation_id) + encoded(event.text, U64)]


def _read_response(limits: Limits) -> Fill[Response]:
    correlation_id = yield from take_number(U64)
    return Response(correlation_id, (yield from take_text(U64, limits.text, "a response")))


def _write_response(event: Response) -> list[Buffer]:
    return [_correlation(event.correlation_id) + encoded(event.text, U64)]


def _read_dependency_reply(limits: Limits) -> Fill[DependencyReply]:
    return DependencyReply((yield from take_text(U64, limits.text, "a dependency reply")))


def _write_dependency_reply(event: DependencyReply) -> list[Buffer]:
    return [encoded(event.meta, U64)]


def _correlation(number: int) -> bytes:
    if not 0 <= number < 1 << 64:
        raise LocalProtocolError(f"The correlation id {number} does not fit 64 bits.")
    return U64.pack(number)


QUERY = MessageKind(6, "QUERY", Query, _read_query, _write_query)
"""Body: uint64 reserved, uint64 correlation id, uint64 length, text."""
RESPONSE = MessageKind(7, "RESPONSE", Response, _read_response, _write_response)
"""Body: uint64 correlation id, uint64 length, text."""
DEPENDENCY_REPLY = MessageKind(
    1019, "DEPENDENCY_REPLY", DependencyReply, _read_dependency_reply, _write_dependency_reply
)
"""Body: uint64 length, XML."""

KINDS = (QUERY, RESPONSE, DEPENDENCY_REPLY)
