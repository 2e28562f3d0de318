"""Which reader takes which id, and which id and writer take which event."""

from collections.abc import Callable
from functools import partial

import ismrmrd

from spokestream.pipelines.wire import control
from spokestream.pipelines.wire.acquisition import read_acquisition, write_acquisition
from spokestream.pipelines.wire.control import U32, U64
from spokestream.pipelines.wire.errors import LocalProtocolError
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
from spokestream.pipelines.wire.fill import Buffer, Fill
from spokestream.pipelines.wire.ids import OLD_IMAGES, MessageId
from spokestream.pipelines.wire.image import read_image, read_old_image, write_image
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.waveform import read_waveform, write_waveform

__all__ = ["encode", "read_body"]

CONTROL_READERS: dict[MessageId, Callable[[Limits], Fill[Event]]] = {
    MessageId.CONFIG_FILE: control.read_config_file,
    MessageId.CONFIG_TEXT: control.read_config_text,
    MessageId.HEADER: control.read_header,
    MessageId.CLOSE: control.read_close,
    MessageId.TEXT: control.read_text,
    MessageId.QUERY: control.read_query,
    MessageId.RESPONSE: control.read_response,
    MessageId.ERROR: control.read_error,
    MessageId.DEPENDENCY_REPLY: control.read_dependency_reply,
    MessageId.DICOM: control.read_dicom,
    MessageId.DICOM_WITH_NAME: control.read_named_dicom,
}

DATA_READERS: dict[MessageId, Callable[[Limits], Fill[object]]] = {
    MessageId.ACQUISITION: read_acquisition,
    MessageId.IMAGE: read_image,
    MessageId.WAVEFORM: read_waveform,
    **{old: partial(read_old_image, old) for old in OLD_IMAGES},
}


def read_body(message_id: MessageId, limits: Limits) -> Fill[Event]:
    """Read what follows an id. Raises MalformedError."""
    if message_id in CONTROL_READERS:
        return (yield from CONTROL_READERS[message_id](limits))
    return Data((yield from DATA_READERS[message_id](limits)))


def encode(event: Event) -> tuple[MessageId, list[Buffer]]:
    """The id and the body of an event. Raises LocalProtocolError when it cannot be written."""
    match event:
        case ConfigFile():
            return MessageId.CONFIG_FILE, control.write_config_file(event)
        case ConfigText(text):
            return MessageId.CONFIG_TEXT, control.write_text(text, U32)
        case Header(xml):
            return MessageId.HEADER, control.write_text(xml, U32)
        case Close():
            return MessageId.CLOSE, []
        case Text(text):
            return MessageId.TEXT, control.write_text(text, U32)
        case Query():
            return MessageId.QUERY, control.write_query(event)
        case Response():
            return MessageId.RESPONSE, control.write_response(event)
        case ErrorText(text):
            return MessageId.ERROR, control.write_text(text, U64)
        case DependencyReply(meta):
            return MessageId.DEPENDENCY_REPLY, control.write_text(meta, U64)
        case Dicom():
            return MessageId.DICOM_WITH_NAME, control.write_dicom(event)
        case Data(ismrmrd.Acquisition() as acquisition):
            return MessageId.ACQUISITION, write_acquisition(acquisition)
        case Data(ismrmrd.Image() as image):
            return MessageId.IMAGE, write_image(image)
        case Data(ismrmrd.Waveform() as waveform):
            return MessageId.WAVEFORM, write_waveform(waveform)
    raise LocalProtocolError(f"A {type(getattr(event, 'item', event)).__name__} cannot be sent.")
