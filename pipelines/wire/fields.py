"""The fields that message bodies are made of: numbers, texts and arrays, read from the stream or made into bytes.

Readers are generators. A reader yields the memory that it wants filled and continues when the memory is full. Nothing
else is buffered, so that the result does not depend on how the stream is cut into chunks. A peer may announce a length
and send nothing: memory grows with the bytes that have come, from `FIRST_PIECE` in steps of a factor of two. A readout
of usual size is therefore copied once, from the received chunk into the array that keeps it.
"""

import math
import struct
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spokestream.pipelines.wire.errors import LocalProtocolError, MalformedError
from spokestream.pipelines.wire.limits import bounded

__all__ = [
    "U16", "U32", "U64", "Buffer", "Fill", "Passage", "as_buffer", "decoded", "encoded", "skip", "take", "take_array",
    "take_number", "take_passage", "take_text",
]  # fmt: skip

T = TypeVar("T")
Buffer: TypeAlias = bytes | bytearray | memoryview


class Passage:
    """The next `n_bytes` of the stream, which are kept as they come, without a copy if they come in one piece."""

    def __init__(self, n_bytes: int) -> None:
        self.received: Buffer = b""
        self._n_bytes = n_bytes

    def __len__(self) -> int:
        return self._n_bytes

    def add(self, view: memoryview) -> None:
        """Keep a piece. Several pieces are copied, so that they hold no more memory than they have bytes."""
        if len(view) == self._n_bytes:
            self.received = view
        elif isinstance(self.received, bytearray):
            self.received += view
        else:
            self.received = bytearray(view)


Fill: TypeAlias = Generator[memoryview | Passage, None, T]
"""A reader that yields memory to be filled, or passages, and returns a value of type T."""

FIRST_PIECE = 1 << 18
"""Largest number of bytes that are allocated for an announced length: a readout of 32 coils and 1024 samples."""

U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


def take(n_bytes: int) -> Fill[bytearray]:
    """Read the next `n_bytes`."""
    if n_bytes > FIRST_PIECE:
        return bytearray((yield from _take_pieces(n_bytes)))
    buffer = bytearray(n_bytes)
    yield memoryview(buffer)
    return buffer


def take_array(shape: tuple[int, ...], dtype: DTypeLike) -> Fill[NDArray[Any]]:
    """Read an array. It has memory of its own, so that the receiver may write to it."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    return (yield from _take_pieces(n_bytes)).view(dtype).reshape(shape)


def _take_pieces(n_bytes: int) -> Fill[NDArray[np.uint8]]:
    """Read the next `n_bytes` into memory that is at most twice as large as what has come, or `FIRST_PIECE`."""
    memory = np.empty(min(n_bytes, FIRST_PIECE), np.uint8)
    yield memory.data
    while len(memory) < n_bytes:
        filled, memory = memory, np.empty(min(2 * len(memory), n_bytes), np.uint8)
        memory[: len(filled)] = filled
        yield memory[len(filled) :].data
    return memory


def skip(n_bytes: int) -> Fill[None]:
    """Read the next `n_bytes`, and forget them."""
    memory = memoryview(bytearray(min(n_bytes, FIRST_PIECE)))
    while n_bytes:
        part = memory[:n_bytes]
        yield part
        n_bytes -= len(part)


def take_passage(n_bytes: int) -> Fill[Buffer]:
    """Read the next `n_bytes` as they come. The result may share memory with the received chunk."""
    passage = Passage(n_bytes)
    yield passage
    return passage.received


def take_number(layout: struct.Struct) -> Fill[int]:
    """Read one unsigned integer."""
    (number,) = layout.unpack((yield from take(layout.size)))
    return int(number)


def take_text(length: struct.Struct, limit: int, what: str) -> Fill[str]:
    """Read a length and a UTF-8 text of that many bytes. `what` names the text in errors.

    Raises MalformedError when the text is longer than `limit` bytes or is not UTF-8.
    """
    n_bytes = bounded((yield from take_number(length)), limit, what)
    return decoded((yield from take(n_bytes)), what)


def decoded(raw: bytes | bytearray, what: str) -> str:
    """The text without the NULs that some writers append and count. Raises MalformedError if it is not UTF-8."""
    try:
        return raw.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8 ({error.reason} at byte {error.start})") from None


def encoded(text: str, length: struct.Struct) -> bytes:
    """The length of the text and the text in UTF-8. Raises LocalProtocolError when one of them cannot be encoded."""
    try:
        raw = text.encode()
        return length.pack(len(raw)) + raw
    except (UnicodeEncodeError, struct.error) as error:
        raise LocalProtocolError(f"The text cannot be sent: {error}.") from None


def as_buffer(array: NDArray[Any], dtype: DTypeLike) -> memoryview:
    """The bytes of the array, without a copy if its layout allows."""
    return np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data
