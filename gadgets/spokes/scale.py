"""The scale of the samples: a power of two, which changes no digits, brings extreme numbers near 1."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["scale_exponent", "scaled"]

ORDINARY_EXPONENT = 20
"""Samples whose largest one is between 2⁻²⁰ and 2²⁰ are not scaled: single precision holds their fourth power (2⁸⁰) and
sums of a million of these (2¹⁰⁰)."""


def scale_exponent(largest: NDArray[np.float32]) -> int:
    """The exponent of the power of two by which samples are multiplied; 0 for ordinary samples.

    Args:
        largest: the largest samples of some spokes; their median decides, so that a spike does not.

    """
    exponent = int(np.frexp(np.median(largest))[1])
    return -exponent if abs(exponent) > ORDINARY_EXPONENT else 0


def scaled(data: NDArray[np.complex64], exponent: int) -> NDArray[np.complex64]:
    """The samples times 2 to this power; the same array if it is 0."""
    if exponent == 0:
        return data
    parts = np.ascontiguousarray(data).view(np.float32)
    return np.asarray(np.ldexp(parts, exponent).view(np.complex64))
