"""Parsers as generators: they yield the memory that they want filled, and go on when it is.

Bytes are copied once, from the chunk in which they came into the array that keeps them; nothing else is buffered,
so that it does not matter how the stream is cut.
"""

import struct
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.limits import bounded

T = TypeVar("T")
Fill: TypeAlias = Generator[memoryview, None, T]
Buffer: TypeAlias = bytes | memoryview

__all__ = ["Buffer", "Fill", "as_buffer", "decoded", "encoded", "take", "take_array", "take_number", "take_text"]


def take(n_bytes: int) -> Fill[bytearray]:
    """The next `n_bytes`."""
    buffer = bytearray(n_bytes)
    yield memoryview(buffer)
    return buffer


def take_array(shape: tuple[int, ...], dtype: DTypeLike) -> Fill[NDArray[Any]]:
    """The next bytes as an array of its own."""
    array = np.empty(shape, dtype)
    yield array.reshape(-1).view(np.uint8).data
    return array


def take_number(layout: struct.Struct) -> Fill[int]:
    """One unsigned integer."""
    (number,) = layout.unpack((yield from take(layout.size)))
    return int(number)


def take_text(length: struct.Struct, limit: int, what: str) -> Fill[str]:
    """A length and that many bytes of UTF-8."""
    n_bytes = bounded((yield from take_number(length)), limit, what)
    return decoded((yield from take(n_bytes)), what)


def decoded(raw: bytes | bytearray, what: str) -> str:
    """Text without the NULs that some writers append and count."""
    try:
        return raw.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8 ({error.reason} at byte {error.start})") from None


def encoded(text: str, length: struct.Struct) -> bytes:
    """A length and the text in UTF-8."""
    try:
        raw = text.encode()
        return length.pack(len(raw)) + raw
    except (UnicodeEncodeError, struct.error) as error:
        raise LocalProtocolError(f"The text cannot be sent: {error}.") from None


def as_buffer(array: NDArray[Any], dtype: DTypeLike) -> memoryview:
    """The array's bytes, without a copy where its layout allows."""
    return np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data
