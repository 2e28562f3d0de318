"""The ISMRMRD stream without I/O: a `Connection` turns bytes into events and events into bytes."""

from spokestream.pipelines.wire.connection import Connection
from spokestream.pipelines.wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import Event
from spokestream.pipelines.wire.messages.data import Data
from spokestream.pipelines.wire.messages.dicom import Dicom
from spokestream.pipelines.wire.messages.opening import Close, ConfigFile, ConfigText, Header
from spokestream.pipelines.wire.messages.questions import DependencyReply, Query, Response
from spokestream.pipelines.wire.messages.text import ErrorText, Text
from spokestream.pipelines.wire.messages.undecoded import Undecoded
from spokestream.pipelines.wire.states import Role, State

__all__ = [
    "Close", "ConfigFile", "ConfigText", "Connection", "Data", "DependencyReply", "Dicom", "ErrorText", "Event",
    "Header", "Limits", "LocalProtocolError", "ProtocolError", "Query", "RemoteProtocolError", "Response", "Role",
    "State", "Text", "Undecoded",
]  # fmt: skip
