"""Blocks of pixels: a slice is computed with on few pixels, and what is found is shown on all of them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps

__all__ = ["block_means", "on_pixels"]


def block_means(message: Fingerprints, side: int) -> Fingerprints:
    """The fingerprints of blocks of `side` x `side` pixels: the mean over the foreground of each block.

    A block belongs to the foreground if one of its pixels does. Blocks at the last edges may have fewer pixels.
    """
    if side == 1:
        return message
    n = _block_sums(message.foreground.astype(np.float32), side)
    sums = _block_sums(message.data * message.foreground, side)
    means = (sums / np.maximum(n, 1)).astype(np.complex64)
    return replace(message, data=means, foreground=n > 0)


def on_pixels(message: ParameterMaps, foreground: Mask, side: int) -> ParameterMaps:
    """Maps of blocks as maps of pixels: every pixel of the foreground (y, x) has the value of its block."""
    ny, nx = foreground.shape

    def spread(values: Float) -> Float:
        return np.where(foreground, values.repeat(side, 0).repeat(side, 1)[:ny, :nx], np.float32(0))

    maps = {name: spread(values) for name, values in message.maps.items()}
    return replace(message, maps=maps, foreground=foreground)


def _block_sums(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """The sums (..., block y, block x) over the blocks of an array (..., y, x)."""
    *leading, ny, nx = pixels.shape
    padded = np.pad(pixels, [*[(0, 0)] * len(leading), (0, -ny % side), (0, -nx % side)])
    blocks = padded.reshape(*leading, -(-ny // side), side, -(-nx // side), side)
    return np.asarray(blocks.sum((-3, -1)))
