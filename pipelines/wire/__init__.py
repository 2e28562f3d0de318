"""The ISMRMRD stream, sans I/O: a `Connection` turns bytes into events and events into bytes."""

from pipelines.wire.connection import Connection
from pipelines.wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from pipelines.wire.events import (
    Close,
    ConfigFile,
    ConfigText,
    Data,
    DependencyReply,
    Dicom,
    ErrorText,
    Event,
    Header,
    Query,
    Response,
    Text,
)
from pipelines.wire.ids import MessageId
from pipelines.wire.limits import Limits
from pipelines.wire.states import Role, State

__all__ = [
    "Close", "ConfigFile", "ConfigText", "Connection", "Data", "DependencyReply", "Dicom", "ErrorText", "Event",
    "Header", "Limits", "LocalProtocolError", "MessageId", "ProtocolError", "Query", "RemoteProtocolError", "Response",
    "Role", "State", "Text",
]  # fmt: skip
