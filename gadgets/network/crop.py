"""The rectangle of a slice that a network has to see: the rest is never normalised."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from spokestream.gadgets.network.channels import interleaved

__all__ = ["Window", "around", "beyond", "normalised", "within"]

Window = tuple[slice, slice]
"""Rows and columns; may begin before the first ones of the slice and end after the last."""


def around(pixels: NDArray[np.bool_], reach: int) -> Window:
    """The smallest window with all of some pixels (y, x), at least one, and as many pixels more on every side."""
    there = [np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(i[0]) - reach, int(i[-1]) + 1 + reach) for i in there)
    return rows, columns


def within(window: Window, shape: tuple[int, int]) -> Window:
    """Its part inside a slice of the shape (y, x)."""
    rows, columns = (slice(max(side.start, 0), min(side.stop, n)) for side, n in zip(window, shape, strict=True))
    return rows, columns


def beyond(window: Window, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """How far it leaves the slice: left, right, above, below, as `torch.nn.functional.pad` takes it."""
    inside = within(window, shape)
    (above, below), (left, right) = (
        (i.start - side.start, side.stop - i.stop) for i, side in zip(inside, window, strict=True)
    )
    return left, right, above, below


def normalised(
    normalise: Callable[[Tensor, Tensor, float], Tensor],
    coefficients: Tensor,
    foreground: Tensor,
    efficiency: float,
    window: Window,
) -> Tensor:
    """The window of a normalised slice, with zeros where it leaves the slice.

    Args:
        normalise: see `spokestream.gadgets.network.archive.save_archive`.
        coefficients: (K, y, x) of the slice, complex.
        foreground: (y, x), all of it within the window.
        efficiency: of the inversion.
        window: of the slice.

    """
    y, x = foreground.shape
    inside = within(window, (y, x))
    channels = normalise(interleaved(coefficients[:, *inside]), foreground[inside], efficiency)
    return pad(channels, beyond(window, (y, x)))
