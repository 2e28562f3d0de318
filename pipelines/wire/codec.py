"""All messages, family by family, and how the kind of a message is found from its id or from its event.

A new message takes a kind in the file of its family (or a new file and an entry in FAMILIES). The grammar in `states`
says who may send it; acquisitions, images, waveforms and DICOM files are there as whole families.
"""

from itertools import chain
from typing import Any

from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.fields import Buffer
from spokestream.pipelines.wire.message_kind import Event, MessageKind
from spokestream.pipelines.wire.messages import acquisition, dicom, image, opening, questions, text, waveform

__all__ = ["FAMILIES", "KIND_BY_ID", "encode", "kind_of_id"]

FAMILIES: tuple[tuple[MessageKind[Any], ...], ...] = (
    opening.KINDS,
    text.KINDS,
    questions.KINDS,
    dicom.KINDS,
    acquisition.KINDS,
    image.KINDS,
    waveform.KINDS,
)

KIND_BY_ID = {kind.id: kind for kind in chain.from_iterable(FAMILIES)}

REFUSED = {
    0x0316: "TLS handshake",
    1013: "CLOUD_JOB",
    1014: "CLOUD_JOB",
    1023: "RECONDATA",
    1024: "IMAGE_ARRAY",
    1030: "NDARRAY",
    1050: "ACQUISITION_BUCKET",
    1051: "BUNDLE",
}
"""Ids that are known and not part of a scan: some are out of use, some never leave Gadgetron, one begins TLS."""


def kind_of_id(number: int) -> MessageKind[Any]:
    """The kind of message that an id announces. Raises MalformedError when there is none."""
    if number in REFUSED:
        raise MalformedError(f"a {REFUSED[number]} (id {number}) has no place in this stream")
    if number not in KIND_BY_ID:
        raise MalformedError(f"{number} is no message id")
    return KIND_BY_ID[number]


def encode(event: Event) -> tuple[MessageKind[Any], list[Buffer]]:
    """The kind and the body of the message for an event. Raises LocalProtocolError when it cannot be written."""
    for kind in KIND_BY_ID.values():
        if kind.write is not None and kind.says(event):
            return kind, kind.write(event)
    raise LocalProtocolError(f"A {type(getattr(event, 'item', event)).__name__} cannot be sent.")
