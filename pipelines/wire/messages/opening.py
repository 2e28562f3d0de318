"""The messages around the data of a scan: configuration and header open it, CLOSE ends it."""

from dataclasses import dataclass

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fields import U32, Buffer, Fill, decoded, encoded, take, take_number, take_text
from spokestream.pipelines.wire.header_text import header_text
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import Event, MessageKind

__all__ = [
    "CLOSE", "CONFIG_FILE", "CONFIG_TEXT", "HEADER", "KINDS", "Close", "ConfigFile", "ConfigText", "Header",
]  # fmt: skip

CONFIG_FILE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ConfigFile(Event):
    """The name of the pipeline."""

    name: str


@dataclass(frozen=True, slots=True)
class ConfigText(Event):
    """The pipeline as XML."""

    text: str


@dataclass(frozen=True, slots=True)
class Header(Event):
    """The ISMRMRD header of the scan."""

    xml: str


@dataclass(frozen=True, slots=True)
class Close(Event):
    """The sender has nothing more to send."""


def _read_config_file(limits: Limits) -> Fill[ConfigFile]:
    raw = yield from take(CONFIG_FILE_BYTES)
    return ConfigFile(decoded(raw.partition(b"\0")[0], "the configuration's name"))


def _write_config_file(event: ConfigFile) -> list[Buffer]:
    raw = encoded(event.name, U32)[U32.size :]
    if len(raw) >= CONFIG_FILE_BYTES or b"\0" in raw:
        raise LocalProtocolError(f"A configuration's name must have less than {CONFIG_FILE_BYTES} bytes and no NUL.")
    return [raw.ljust(CONFIG_FILE_BYTES, b"\0")]


def _read_config_text(limits: Limits) -> Fill[ConfigText]:
    return ConfigText((yield from take_text(U32, limits.config, "a configuration")))


def _write_config_text(event: ConfigText) -> list[Buffer]:
    return [encoded(event.text, U32)]


def _read_header(limits: Limits) -> Fill[Header]:
    n_bytes = bounded((yield from take_number(U32)), limits.header, "a header")
    return Header(header_text((yield from take(n_bytes))))


def _write_header(event: Header) -> list[Buffer]:
    return [encoded(event.xml, U32)]


def _read_close(limits: Limits) -> Fill[Close]:
    yield from ()
    return Close()


def _write_close(event: Close) -> list[Buffer]:
    return []


CONFIG_FILE = MessageKind(1, "CONFIG_FILE", ConfigFile, _read_config_file, _write_config_file)
"""Body: a NUL-terminated name in 1024 bytes; the bytes after the NUL have no meaning."""
CONFIG_TEXT = MessageKind(2, "CONFIG_TEXT", ConfigText, _read_config_text, _write_config_text)
"""Body: uint32 length, XML."""
HEADER = MessageKind(3, "HEADER", Header, _read_header, _write_header)
"""Body: uint32 length, XML."""
CLOSE = MessageKind(4, "CLOSE", Close, _read_close, _write_close)
"""No body."""

KINDS = (CONFIG_FILE, CONFIG_TEXT, HEADER, CLOSE)
