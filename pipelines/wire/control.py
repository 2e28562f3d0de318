"""Bodies of the messages that are text, and of DICOM files."""

import struct

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.events import (
    Close,
    ConfigFile,
    ConfigText,
    DependencyReply,
    Dicom,
    ErrorText,
    Header,
    Query,
    Response,
    Text,
)
from spokestream.pipelines.wire.fill import Buffer, Fill, decoded, encoded, take, take_number, take_text
from spokestream.pipelines.wire.limits import Limits, bounded

__all__ = [
    "read_close", "read_config_file", "read_config_text", "read_dependency_reply", "read_dicom", "read_error",
    "read_header", "read_named_dicom", "read_query", "read_response", "read_text", "write_config_file", "write_dicom",
    "write_query", "write_response", "write_text",
]  # fmt: skip

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
CONFIG_FILE_BYTES = 1024


def read_config_file(limits: Limits) -> Fill[ConfigFile]:
    """1024 bytes, a NUL-terminated name; what follows the NUL means nothing."""
    raw = yield from take(CONFIG_FILE_BYTES)
    return ConfigFile(decoded(raw.partition(b"\0")[0], "the configuration's name"))


def read_config_text(limits: Limits) -> Fill[ConfigText]:
    """Uint32 length, XML."""
    return ConfigText((yield from take_text(U32, limits.config, "a configuration")))


def read_header(limits: Limits) -> Fill[Header]:
    """Uint32 length, XML."""
    return Header((yield from take_text(U32, limits.header, "a header")))


def read_close(limits: Limits) -> Fill[Close]:
    """No body."""
    yield from ()
    return Close()


def read_text(limits: Limits) -> Fill[Text]:
    """Uint32 length, text."""
    return Text((yield from take_text(U32, limits.text, "a text")))


def read_query(limits: Limits) -> Fill[Query]:
    """Uint64 reserved, uint64 correlation id, uint64 length, text."""
    yield from take(U64.size)
    correlation_id = yield from take_number(U64)
    return Query(correlation_id, (yield from take_text(U64, limits.text, "a query")))


def read_response(limits: Limits) -> Fill[Response]:
    """Uint64 correlation id, uint64 length, text."""
    correlation_id = yield from take_number(U64)
    return Response(correlation_id, (yield from take_text(U64, limits.text, "a response")))


def read_error(limits: Limits) -> Fill[ErrorText]:
    """Uint64 length, text."""
    return ErrorText((yield from take_text(U64, limits.text, "an error")))


def read_dependency_reply(limits: Limits) -> Fill[DependencyReply]:
    """Uint64 length, XML."""
    return DependencyReply((yield from take_text(U64, limits.text, "a dependency reply")))


def read_dicom(limits: Limits) -> Fill[Dicom]:
    """Uint32 length, file."""
    n_bytes = bounded((yield from take_number(U32)), limits.body, "a DICOM file")
    return Dicom(bytes((yield from take(n_bytes))))


def read_named_dicom(limits: Limits) -> Fill[Dicom]:
    """Uint32 length, file, uint64 length, name, uint64 length, XML."""
    unnamed = yield from read_dicom(limits)
    name = yield from take_text(U64, limits.text, "a DICOM name")
    return Dicom(unnamed.blob, name, (yield from take_text(U64, limits.attributes, "DICOM metadata")))


def write_config_file(event: ConfigFile) -> list[Buffer]:
    """Mirror of `read_config_file`."""
    raw = encoded(event.name, U32)[U32.size :]
    if len(raw) >= CONFIG_FILE_BYTES or b"\0" in raw:
        raise LocalProtocolError(f"A configuration's name must have less than {CONFIG_FILE_BYTES} bytes and no NUL.")
    return [raw.ljust(CONFIG_FILE_BYTES, b"\0")]


def write_text(text: str, length: struct.Struct) -> list[Buffer]:
    """Mirror of `take_text`."""
    return [encoded(text, length)]


def write_query(event: Query) -> list[Buffer]:
    """Mirror of `read_query`."""
    return [U64.pack(0) + _correlation(event.correlation_id) + encoded(event.text, U64)]


def write_response(event: Response) -> list[Buffer]:
    """Mirror of `read_response`."""
    return [_correlation(event.correlation_id) + encoded(event.text, U64)]


def write_dicom(event: Dicom) -> list[Buffer]:
    """Mirror of `read_named_dicom`."""
    if len(event.blob) >> 32:
        raise LocalProtocolError("A DICOM file must be smaller than 4 GiB.")
    return [U32.pack(len(event.blob)), event.blob, encoded(event.name, U64) + encoded(event.meta, U64)]


def _correlation(number: int) -> bytes:
    if not 0 <= number < 1 << 64:
        raise LocalProtocolError(f"The correlation id {number} does not fit 64 bits.")
    return U64.pack(number)
