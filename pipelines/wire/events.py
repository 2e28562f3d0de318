"""What can be said over the stream, one class a kind of message."""

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "Close", "ConfigFile", "ConfigText", "Data", "DependencyReply", "Dicom", "ErrorText", "Event", "Header", "Query",
    "Response", "Text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The pipeline, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class ConfigText:
    """The pipeline, as XML."""

    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """The ISMRMRD header of the scan."""

    xml: str


@dataclass(frozen=True, slots=True)
class Close:
    """The speaker has said everything."""


@dataclass(frozen=True, slots=True)
class Text:
    """Something to read: a log line, an error told to a client, or a scanner's JSON parameters."""

    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question about the server itself."""

    correlation_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the Query with the same correlation id."""

    correlation_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ErrorText:
    """Failure of a Gadgetron external module, told to Gadgetron; clients do not know this message."""

    text: str


@dataclass(frozen=True, slots=True)
class DependencyReply:
    """What is known of a noise measurement, as ISMRMRD meta XML."""

    meta: str


@dataclass(frozen=True, slots=True)
class Dicom:
    """A DICOM file."""

    blob: bytes
    name: str = ""
    meta: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """An `ismrmrd.Acquisition`, `ismrmrd.Image` or `ismrmrd.Waveform`."""

    item: Any


Event: TypeAlias = (
    ConfigFile | ConfigText | Header | Close | Text | Query | Response | ErrorText | DependencyReply | Dicom | Data
)
