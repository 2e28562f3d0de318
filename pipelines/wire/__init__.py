"""The ISMRMRD stream without I/O: a `Connection` turns bytes into events and events into bytes."""

from spokestream.pipelines.wire.connection import Connection
from spokestream.pipelines.wire.data import Data
from spokestream.pipelines.wire.dicom import Dicom
from spokestream.pipelines.wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import Event
from spokestream.pipelines.wire.opening import Close, ConfigFile, ConfigText, Header
from spokestream.pipelines.wire.questions import DependencyReply, Query, Response
from spokestream.pipelines.wire.states import Role, State
from spokestream.pipelines.wire.text import ErrorText, Text

__all__ = [
    "Close", "ConfigFile", "ConfigText", "Connection", "Data", "DependencyReply", "Dicom", "ErrorText", "Event",
    "Header", "Limits", "LocalProtocolError", "ProtocolError", "Query", "RemoteProtocolError", "Response", "Role",
    "State", "Text",
]  # fmt: skip
