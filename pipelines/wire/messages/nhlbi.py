"""NHLBI compression: samples stored with a fixed number of bits. Gadgetron's clients and FIRE use it; it is lossy.

Layout: uint64 number of floats, float32 scale, uint8 bits; then the integers round(value * scale) in two's complement,
one after the other without gaps, least significant bit first.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from spokestream.pipelines.wire.errors import MalformedError
from spokestream.pipelines.wire.fields import Buffer

__all__ = ["check_compressed", "decompress"]

LAYOUT = struct.Struct("<QfB")
BLOCK = 1 << 16
"""Numbers unpacked at once. It is a multiple of 8, so that each block begins at a whole byte."""


def check_compressed(packed: Buffer, n_expected: int) -> tuple[float, int]:
    """Scale and bits of a compressed blob. Raises MalformedError when it does not hold `n_expected` floats."""
    if len(packed) < LAYOUT.size:
        raise MalformedError(f"compressed samples of {len(packed)} bytes lack their header of {LAYOUT.size}")
    n, scale, bits = LAYOUT.unpack_from(packed)
    if not 1 <= bits <= 31 or not scale > 0:
        raise MalformedError(f"compressed samples declare {bits} bits and a scale of {scale:g}")
    n_bytes = LAYOUT.size + -(-n * bits // 8)
    # the blob may be longer: Gadgetron rounds the length in float32, which adds a few bytes to long readouts
    if n != n_expected or len(packed) < n_bytes:
        raise MalformedError(
            f"compressed samples declare {n} numbers in {n_bytes} bytes; the header says {n_expected}, "
            f"{len(packed)} bytes came"
        )
    return scale, bits


def decompress(packed: Buffer, n_expected: int) -> NDArray[np.float32]:
    """The `n_expected` floats in a compressed blob. Raises MalformedError when the blob does not hold exactly these."""
    scale, bits = check_compressed(packed, n_expected)
    raw = np.frombuffer(packed, np.uint8, offset=LAYOUT.size)
    values = np.empty(n_expected, np.float32)
    for start in range(0, n_expected, BLOCK):
        block = values[start : start + BLOCK]
        with np.errstate(over="ignore"):
            np.divide(_integers(raw[start * bits // 8 :], len(block), bits), np.float32(scale), out=block)
    return values


def _integers(raw: NDArray[np.uint8], n: int, bits: int) -> NDArray[np.float32]:
    words = np.zeros((n, 32), np.uint8)
    # each number goes to the upper bits of its word, so that the arithmetic shift back extends the sign
    words[:, 32 - bits :] = np.unpackbits(raw, count=n * bits, bitorder="little").reshape(n, bits)
    signed = np.packbits(words, axis=1, bitorder="little").view("<i4").ravel()
    return (signed >> (32 - bits)).astype(np.float32)
