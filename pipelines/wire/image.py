"""Body of an image: 198-byte header, uint64 length, attributes, pixels (channel, z, y, x)."""

import ctypes
import math
import xml.etree.ElementTree as ET
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.wire.control import U64
from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.fill import Buffer, Fill, as_buffer, encoded, take, take_array, take_text
from spokestream.pipelines.wire.ids import OLD_IMAGES, MessageId
from spokestream.pipelines.wire.limits import Limits, bounded

__all__ = ["read_image", "read_old_image", "write_image"]

DTYPES = {1: "<u2", 2: "<i2", 3: "<u4", 4: "<i4", 5: "<f4", 6: "<f8", 7: "<c8", 8: "<c16"}
DATA_TYPES = {np.dtype(dtype): data_type for data_type, dtype in DTYPES.items()}


def read_image(limits: Limits) -> Fill[ismrmrd.Image]:
    """Read an image of any of the eight pixel types."""
    header = yield from _take_header()
    return (yield from _take_rest(header, limits, has_attributes=True))


def read_old_image(message_id: MessageId, limits: Limits) -> Fill[ismrmrd.Image]:
    """Read an image of the days when the id told the pixel type and attributes were optional."""
    header = yield from _take_header()
    header.data_type, has_attributes = OLD_IMAGES[message_id]
    return (yield from _take_rest(header, limits, has_attributes))


def write_image(image: ismrmrd.Image) -> list[Buffer]:
    """Mirror of `read_image`; pixel type, matrix and channels are those of the array, whatever the header says.

    Raises LocalProtocolError for pixels that no image type can hold and metadata that is not text.
    """
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


def _take_rest(header: Any, limits: Limits, has_attributes: bool) -> Fill[ismrmrd.Image]:
    dtype = DTYPES.get(header.data_type)
    if dtype is None:
        raise MalformedError(f"an image has the unknown pixel type {header.data_type}")
    shape = (int(header.channels), *(int(n) for n in reversed(header.matrix_size)))
    bounded(math.prod(shape) * np.dtype(dtype).itemsize, limits.body, f"an image of {shape} pixels")
    attributes = ""
    if has_attributes:
        attributes = yield from take_text(U64, limits.attributes, "image attributes")
    meta = _parse_meta(attributes)
    return _assemble(header, meta, (yield from take_array(shape, dtype)))


def _assemble(header: Any, meta: ismrmrd.Meta, pixels: NDArray[Any]) -> ismrmrd.Image:
    # by hand, because ismrmrd's constructor takes the data type int32 for numpy's int64
    image = ismrmrd.Image(meta=meta)
    image._head = header
    image._Image__data = pixels
    return image


def _parse_meta(attributes: str) -> ismrmrd.Meta:
    """Metadata by name: a value, or a list of them. Empty values stay empty, where ismrmrd makes them "None"."""
    meta = ismrmrd.Meta()
    if not attributes.strip():
        return meta
    if "<!DOCTYPE" in attributes or "<!ENTITY" in attributes:
        raise MalformedError("image attributes declare XML entities, which is refused")
    try:
        root = ET.fromstring(attributes)  # noqa: S314  entities are refused above, the size is bounded
    except (ET.ParseError, ValueError) as error:
        raise MalformedError(f"image attributes are not XML ({error})") from None
    for entry in root.iterfind("{*}meta"):
        name = entry.findtext("{*}name") or ""
        values = [value.text or "" for value in entry.iterfind("{*}value")]
        if name in meta:
            values = [*(meta[name] if isinstance(meta[name], list) else [meta[name]]), *values]
        meta[name] = values[0] if len(values) == 1 else values
    return meta
