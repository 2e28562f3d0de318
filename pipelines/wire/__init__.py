"""The ISMRMRD stream, sans I/O: a `Connection` turns bytes into events and events into bytes."""

from spokestream.pipelines.wire.connection import Connection
from spokestream.pipelines.wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from spokestream.pipelines.wire.events import (
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
from spokestream.pipelines.wire.ids import MessageId
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.states import Role, State

__all__ = [
    "Close", "ConfigFile", "ConfigText", "Connection", "Data", "DependencyReply", "Dicom", "ErrorText", "Event",
    "Header", "Limits", "LocalProtocolError", "MessageId", "ProtocolError", "Query", "RemoteProtocolError", "Response",
    "Role", "State", "Text",
]  # fmt: skip
