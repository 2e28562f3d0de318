"""Ninety squares of 10 mm with random values from the whole range of muscle; they are equal at every level.

As with published phantoms of this kind, regions of known values can be compared.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy
from spokestream.simulator.phantoms.cross_section import CrossSection
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import TISSUES, Tissue

__all__ = ["SQUARES"]

Float = NDArray[np.float32]

ROWS, COLUMNS = 9, 10
PITCH_MM, SIDE_MM = 20.0, 10.0


def _nearest(axis: Float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The index of the square nearest to every point (y, x), and whether the point lies in it."""

    def along(n: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        place = axis + 0.5 + PITCH_MM * n / 2  # edges lie between pixels of 1 mm
        which = np.clip(np.floor(place / PITCH_MM), 0, n - 1).astype(np.intp)
        return which, np.abs(place - PITCH_MM * (which + 0.5)) < SIDE_MM / 2

    (row, in_row), (column, in_column) = along(ROWS), along(COLUMNS)
    return row[:, None] * COLUMNS + column[None, :], in_row[:, None] & in_column[None, :]


def _cross_section(subject: Subject, level: float, axis: Float) -> CrossSection:
    del level
    rng = subject.rng("squares")
    t1, ff, t1fat = rng.uniform((850, 0, 250), (1850, 1, 390), (ROWS * COLUMNS, 3)).T
    squares = tuple(
        Tissue(1.0, *values, t1fat_spread=0) for values in zip(ff, t1, np.full_like(t1, 40), t1fat, strict=True)
    )
    names = tuple(f"square {n + 1}" for n in range(ROWS * COLUMNS))
    nearest, inside = _nearest(axis)
    label = np.where(inside, nearest + 1, 0).astype(np.uint8)
    return CrossSection(label, ("air", *names), (TISSUES["air"], *squares))


def _field_maps(subject: Subject, level: float, axis: Float) -> tuple[Float, Float]:
    del level
    rng = subject.rng("squares", "fields")
    deltaf, b1 = rng.uniform((-60, 0.3), (60, 1.0), (ROWS * COLUMNS, 2)).astype(np.float32).T
    nearest, _ = _nearest(axis)
    return deltaf[nearest], b1[nearest]


SQUARES = Anatomy("90 squares with random values", 256.0, _cross_section, _field_maps)
