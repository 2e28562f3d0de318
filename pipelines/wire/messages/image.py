"""Images of eight pixel types, and the old kinds of images, where the id of the message stands for the pixel type.

Body: 198-byte header, uint64 length, attributes as XML, pixels (channel, z, y, x). Four of the old kinds have neither
the length nor the attributes.
"""

import ctypes
import math
from functools import partial
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.scan.xml_tree import parse_xml
from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.fields import (
    U64,
    Buffer,
    Fill,
    as_buffer,
    encoded,
    skip,
    take,
    take_array,
    take_number,
    take_text,
)
from spokestream.pipelines.wire.limits import Limits, bounded
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.messages.data import Data
from spokestream.pipelines.wire.messages.undecoded import Undecoded

__all__ = ["IMAGE", "KINDS", "OLD_IMAGES"]

DTYPES = {1: "<u2", 2: "<i2", 3: "<u4", 4: "<i4", 5: "<f4", 6: "<f8", 7: "<c8", 8: "<c16"}
"""Pixel type, as in `ImageHeader.data_type` -> numpy's name of it."""
ATTRIBUTES = "image attributes"
DATA_TYPES = {np.dtype(dtype): data_type for data_type, dtype in DTYPES.items()}


def _read(limits: Limits) -> Fill[Data]:
    header = yield from _take_header()
    return (yield from _take_rest(header, limits, has_attributes=True))


def _read_old(data_type: int, has_attributes: bool, limits: Limits) -> Fill[Data]:
    header = yield from _take_header()
    header.data_type = data_type
    return (yield from _take_rest(header, limits, has_attributes))


def _frame(limits: Limits) -> Fill[Undecoded]:
    """The attributes may be 16 MiB of XML, and the pixels hundreds of MiB; both are skipped."""
    return (yield from _skip_rest((yield from _take_header()), limits, has_attributes=True))


def _frame_old(data_type: int, has_attributes: bool, limits: Limits) -> Fill[Undecoded]:
    header = yield from _take_header()
    header.data_type = data_type
    return (yield from _skip_rest(header, limits, has_attributes))


def _write(event: Data) -> list[Buffer]:
    """Pixel type, matrix and channels are those of the array, even if the header disagrees."""
    image = event.item
    pixels, header = image.data, image.getHead()
    if pixels.dtype not in DATA_TYPES or pixels.ndim != 4 or max(pixels.shape) > 0xFFFF:
        raise LocalProtocolError(f"An image cannot hold {pixels.dtype} pixels of shape {pixels.shape}.")
    try:
        attributes = encoded(image.attribute_string, U64)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"The image's metadata cannot be written: {error}.") from None
    header.data_type = DATA_TYPES[pixels.dtype]
    header.channels, *matrix = pixels.shape
    header.matrix_size = tuple(reversed(matrix))
    header.attribute_string_len = len(attributes) - U64.size
    return [bytes(header), attributes, as_buffer(pixels, DTYPES[header.data_type])]


def _take_header() -> Fill[Any]:
    return ismrmrd.ImageHeader.from_buffer((yield from take(ctypes.sizeof(ismrmrd.ImageHeader))))


def _take_rest(header: Any, limits: Limits, has_attributes: bool) -> Fill[Data]:
    shape, dtype, _ = _pixels(header, limits)
    attributes = ""
    if has_attributes:
        attributes = yield from take_text(U64, limits.attributes, ATTRIBUTES)
    meta = _parse_meta(attributes)
    return Data(_assemble(header, meta, (yield from take_array(shape, dtype))))


def _skip_rest(header: Any, limits: Limits, has_attributes: bool) -> Fill[Undecoded]:
    *_, n_bytes = _pixels(header, limits)
    if has_attributes:
        yield from skip(bounded((yield from take_number(U64)), limits.attributes, ATTRIBUTES))
    yield from skip(n_bytes)
    return Undecoded(header, ())


def _pixels(header: Any, limits: Limits) -> tuple[tuple[int, ...], str, int]:
    """Shape, type and bytes of an image's pixels. Raises MalformedError if they are of no known type or too many."""
    dtype = DTYPES.get(header.data_type)
    if dtype is None:
        raise MalformedError(f"an image has the unknown pixel type {header.data_type}")
    shape = (int(header.channels), *(int(n) for n in reversed(header.matrix_size)))
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    return shape, dtype, bounded(n_bytes, limits.body, f"an image of {shape} pixels")


def _assemble(header: Any, meta: ismrmrd.Meta, pixels: NDArray[Any]) -> ismrmrd.Image:
    # assembled here because ismrmrd's constructor confuses the data type int32 with numpy's int64
    image = ismrmrd.Image(meta=meta)
    image._head = header
    image._Image__data = pixels
    return image


def _parse_meta(attributes: str) -> ismrmrd.Meta:
    """Metadata by name: one value, or a list of several. An empty value stays empty; ismrmrd would make it "None"."""
    meta = ismrmrd.Meta()
    if not attributes.strip():
        return meta
    try:
        root = parse_xml(attributes, "metadata of an image")
    except ScanError as error:
        raise MalformedError(str(error)) from None
    found: dict[str, list[str]] = {}
    for entry in root.iterfind("meta"):
        of_name = found.setdefault(entry.findtext("name") or "", [])
        of_name += [value.text or "" for value in entry.iterfind("value")]
    for name, values in found.items():
        meta[name] = values[0] if len(values) == 1 else values
    return meta


IMAGE = MessageKind(1022, "IMAGE", Data, _read, _write, item=ismrmrd.Image, frame=_frame)
OLD_IMAGES = tuple(
    MessageKind(
        number,
        name,
        Data,
        partial(_read_old, data_type, has_attributes),
        write=None,
        item=ismrmrd.Image,
        frame=partial(_frame_old, data_type, has_attributes),
    )
    for number, name, data_type, has_attributes in (
        (1009, "IMAGE_COMPLEX_FLOAT", 7, False),
        (1010, "IMAGE_FLOAT", 5, False),
        (1011, "IMAGE_USHORT", 1, False),
        (1020, "IMAGE_SHORT", 2, False),
        (1015, "IMAGE_COMPLEX_FLOAT_WITH_ATTRIBUTES", 7, True),
        (1016, "IMAGE_FLOAT_WITH_ATTRIBUTES", 5, True),
        (1017, "IMAGE_USHORT_WITH_ATTRIBUTES", 1, True),
        (1021, "IMAGE_SHORT_WITH_ATTRIBUTES", 2, True),
    )
)

KINDS = (IMAGE, *OLD_IMAGES)
