"""DICOM files, with and without a name."""

from dataclasses import dataclass

from spokestream.pipelines.wire.errors import LocalProtocolError
from spokestream.pipelines.wire.fields import U32, U64, Buffer, Fill, encoded, skip, take, take_number, take_text
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import Event, MessageKind

__all__ = ["DICOM", "DICOM_WITH_NAME", "KINDS", "Dicom"]


@dataclass(frozen=True, slots=True)
class Dicom(Event):
    """A DICOM file, its name, and its metadata as ISMRMRD meta XML."""

    blob: bytes
    name: str = ""
    meta: str = ""


def _read_dicom(limits: Limits) -> Fill[Dicom]:
    n_bytes = bounded((yield from take_number(U32)), limits.body, "a DICOM file")
    return Dicom(bytes((yield from take(n_bytes))))


def _read_named_dicom(limits: Limits) -> Fill[Dicom]:
    unnamed = yield from _read_dicom(limits)
    name = yield from take_text(U64, limits.text, "a DICOM name")
    return Dicom(unnamed.blob, name, (yield from take_text(U64, limits.attributes, "DICOM metadata")))


def _frame_dicom(limits: Limits) -> Fill[Dicom]:
    """The file may have hundreds of MiB; it is skipped."""
    yield from skip(bounded((yield from take_number(U32)), limits.body, "a DICOM file"))
    return Dicom(b"")


def _frame_named_dicom(limits: Limits) -> Fill[Dicom]:
    skipped = yield from _frame_dicom(limits)
    yield from skip(bounded((yield from take_number(U64)), limits.text, "a DICOM name"))
    yield from skip(bounded((yield from take_number(U64)), limits.attributes, "DICOM metadata"))
    return skipped


def _write_named_dicom(event: Dicom) -> list[Buffer]:
    if len(event.blob) >> 32:
        raise LocalProtocolError("A DICOM file must be smaller than 4 GiB.")
    return [U32.pack(len(event.blob)), event.blob, encoded(event.name, U64) + encoded(event.meta, U64)]


DICOM = MessageKind(1012, "DICOM", Dicom, _read_dicom, write=None, frame=_frame_dicom)
"""Body: uint32 length, file."""
DICOM_WITH_NAME = MessageKind(
    1018, "DICOM_WITH_NAME", Dicom, _read_named_dicom, _write_named_dicom, frame=_frame_named_dicom
)
"""Body: uint32 length, file, uint64 length, name, uint64 length, XML."""

KINDS = (DICOM, DICOM_WITH_NAME)
