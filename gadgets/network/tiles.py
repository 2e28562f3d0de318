"""Tiles: equal rectangles that cover the foreground of a slice, and as little else as possible."""

import itertools
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tiling", "column_of_tiles", "cover"]

Cells = NDArray[np.bool_]

ALONE = 2048
"""Most pixels of a tile if they need no neighbours: enough for fast products, and what they become fits into caches."""
COLUMNS = 32
"""Width of such a tile."""
FINER = 8
"""Difference, in pixels, between the tile sides that are tried."""


@dataclass(frozen=True)
class Tiling:
    """The positions and the size of tiles, which may overlap."""

    shape: tuple[int, int]
    """Size (y, x) of every tile, multiples of the step."""
    corners: list[tuple[int, int]]
    """Position (y, x) of the first pixel of every tile, multiples of the step."""
    canvas: tuple[int, int]
    """Size (y, x) of the slice, rounded up to multiples of the step. All tiles are inside."""


def cover(foreground: Cells, largest: int, step: int = 1, border: int = 0) -> Tiling:
    """Cover every pixel of the foreground (y, x) by equal tiles, so that little has to be computed.

    Tiles are arranged in bands. Every band begins at the first row that is not covered yet, and every tile of a band
    at the first column that is not covered yet; this gives the smallest number of tiles per band. The sides of the
    tiles are those with the least work. Half of the border is counted as work, because a network crops it layer by
    layer. An odd number of tiles is counted as one more, because tiles are computed in pairs. The first band may begin
    above the foreground; its best start is searched.

    Args:
        foreground: (y, x) mask.
        largest: largest side of a tile in pixels; the sides of the slice are limits as well.
        step: corners and sides of tiles are multiples of it.
        border: number of pixels around a tile that the network needs.

    """
    cells = _blocks(foreground, step)
    finer = max(1, FINER // step)
    heights, widths = (
        range(min(largest // step, n), max(0, largest // step // 4 - 1), -finer) or [n] for n in cells.shape
    )
    bands = {height: _bands(cells, height, height) for height in heights}

    def work(shape: tuple[int, int]) -> int:
        n = sum(len(_starts(columns, shape[1])) for _, columns in bands[shape[0]])
        return (n + n % 2) * (shape[0] * step + border) * (shape[1] * step + border)

    height, width = min(itertools.product(heights, widths), key=work)
    arranged = (_bands(cells, first, height) for first in range(height, 0, -1))
    placed = min(([(y, x) for y, columns in one for x in _starts(columns, width)] for one in arranged), key=len)
    last = cells.shape[1] - width
    return Tiling(
        (height * step, width * step),
        [(y * step, min(x, last) * step) for y, x in placed],
        (cells.shape[0] * step, cells.shape[1] * step),
    )


def column_of_tiles(n_pixels: int) -> Tiling:
    """Tiles below each other for this many pixels, which need no neighbours; an even number of them, for two threads.

    Their size does not depend on the number of threads, so that bits do not, either.
    """
    n_tiles = 2 * -(-n_pixels // (2 * ALONE))
    rows = -(-n_pixels // max(1, n_tiles * COLUMNS))
    return Tiling((rows, COLUMNS), [(rows * i, 0) for i in range(n_tiles)], (rows * n_tiles, COLUMNS))


def _blocks(foreground: Cells, step: int) -> Cells:
    """The mask of the blocks of step x step pixels that contain foreground."""
    padded = np.pad(foreground, [(0, -n % step) for n in foreground.shape])
    n_y, n_x = padded.shape[0] // step, padded.shape[1] // step
    return np.asarray(padded.reshape(n_y, step, n_x, step).any(axis=(1, 3)))


def _bands(cells: Cells, first: int, height: int) -> list[tuple[int, list[int]]]:
    """The first row of every band and the columns with foreground, in cells.

    The first band covers `first` rows of foreground, the others the full height.
    """
    bands: list[tuple[int, list[int]]] = []
    rows, i = np.flatnonzero(cells.any(axis=1)).tolist(), 0
    while i < len(rows):
        y, end = rows[i], rows[i] + (height if bands else first)
        top = min(max(end - height, 0), cells.shape[0] - height)
        bands.append((top, np.flatnonzero(cells[y:end].any(axis=0)).tolist()))
        i = bisect_left(rows, end, i)
    return bands


def _starts(hit: list[int], length: int) -> list[int]:
    """Where pieces of this length begin that cover all numbers of a sorted list, each at the first that is left."""
    starts, i = [], 0
    while i < len(hit):
        starts.append(hit[i])
        i = bisect_left(hit, hit[i] + length, i)
    return starts
