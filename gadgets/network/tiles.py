"""Tiles: equal rectangles that cover the foreground of a slice and little else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tiling", "cover"]

Cells = NDArray[np.bool_]

FINER = 8
"""Step in pixels between the sides that are tried."""


@dataclass(frozen=True)
class Tiling:
    """Where the tiles lie; they may overlap."""

    shape: tuple[int, int]
    """(y, x) of every tile, multiples of the step."""
    corners: list[tuple[int, int]]
    """(y, x) of the first pixel of every tile, multiples of the step."""
    canvas: tuple[int, int]
    """(y, x) of the slice, rounded up to multiples of the step: no tile leaves it."""


def cover(foreground: Cells, largest: int, step: int = 1, border: int = 0) -> Tiling:
    """Cover every pixel of the foreground (y, x) by equal tiles, with as little work as can be.

    Tiles stand in bands. Each begins at the first column, each band at the first row, that is not covered yet; that
    takes the fewest tiles of a band. The sides with the least work are chosen; half of the border of every tile counts,
    since networks crop it layer by layer, and an odd tile counts as two, since tiles are computed in pairs. The first
    band may begin above the foreground: the best start is searched.

    Args:
        foreground: (y, x) mask of tissue.
        largest: largest side of a tile in pixels; a smaller slice gets one tile.
        step: corners and sides are multiples of so many pixels.
        border: pixels around a tile that its computation needs.

    """
    cells = _blocks(foreground, step)
    finer = max(1, FINER // step)

    def work(shape: tuple[int, int]) -> int:
        n = len(_bands(cells, shape[0], *shape))
        return (n + n % 2) * (shape[0] * step + border) * (shape[1] * step + border)

    sides = [range(min(largest // step, n), max(0, largest // step // 4 - 1), -finer) for n in cells.shape]
    height, width = min(((h, w) for h in sides[0] or [cells.shape[0]] for w in sides[1] or [cells.shape[1]]), key=work)
    placed = min((_bands(cells, first, height, width) for first in range(height, 0, -1)), key=len)
    return Tiling(
        (height * step, width * step),
        [(y * step, x * step) for y, x in placed],
        (cells.shape[0] * step, cells.shape[1] * step),
    )


def _blocks(foreground: Cells, step: int) -> Cells:
    """Whether there is foreground in each block of step x step pixels."""
    padded = np.pad(foreground, [(0, -n % step) for n in foreground.shape])
    n_y, n_x = padded.shape[0] // step, padded.shape[1] // step
    return np.asarray(padded.reshape(n_y, step, n_x, step).any(axis=(1, 3)))


def _bands(cells: Cells, first: int, height: int, width: int) -> list[tuple[int, int]]:
    """Corners of tiles, in cells; the first band covers `first` rows of foreground, the others their full height."""
    corners: list[tuple[int, int]] = []
    end = 0
    for y in np.flatnonzero(cells.any(axis=1)).tolist():
        if y >= end:
            end = y + (height if corners else first)
            top = min(max(end - height, 0), cells.shape[0] - height)
            corners += [(top, x) for x in _starts(np.asarray(cells[y:end].any(axis=0)), width)]
    return corners


def _starts(columns: Cells, width: int) -> list[int]:
    starts: list[int] = []
    end = 0
    for x in np.flatnonzero(columns).tolist():
        if x >= end:
            starts.append(min(x, len(columns) - width))
            end = x + width
    return starts
