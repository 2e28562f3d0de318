"""Ninety squares of 10 mm with random values from the whole range of muscle; they are equal at every level.

As with published phantoms of this kind, regions of known values can be compared.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy
from spokestream.simulator.phantoms.cross_section import CrossSection
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import TISSUES, Tissue

__all__ = ["SIDE_MM", "SQUARES", "SQUARES_MM", "square_values"]

Float = NDArray[np.float32]
Values = NDArray[np.float64]

ROWS, COLUMNS = 9, 10
PITCH_MM, SIDE_MM, T2_MS = 20.0, 10.0, 40.0
OFFSET_MM = 0.5
"""Distance by which the squares lie to the right and front of the middle: edges lie between pixels of 1 mm."""
SQUARES_MM = tuple(
    (PITCH_MM * (column + 0.5 - COLUMNS / 2) - OFFSET_MM, PITCH_MM * (row + 0.5 - ROWS / 2) - OFFSET_MM)
    for row in range(ROWS)
    for column in range(COLUMNS)
)
"""Centres (x, y) of the squares, in the order of their numbers; x to the patient's left, y to the back."""


def square_values(subject: Subject) -> dict[str, Values]:
    """The values of the squares in their order: name of a map of the phantom -> (squares,), in its unit."""
    t1, ff, t1fat = subject.rng("squares").uniform((850, 0, 250), (1850, 1, 390), (len(SQUARES_MM), 3)).T
    deltaf, b1 = subject.rng("squares", "fields").uniform((-60, 0.3), (60, 1.0), (len(SQUARES_MM), 2)).T
    return {"ff": ff, "t1h2o": t1, "t1fat": t1fat, "deltaf": deltaf, "b1": b1}


def _nearest(axis: Float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The index of the square nearest to every point (y, x), and whether the point lies in it."""

    def along(n: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        place = axis + OFFSET_MM + PITCH_MM * n / 2
        which = np.clip(np.floor(place / PITCH_MM), 0, n - 1).astype(np.intp)
        return which, np.abs(place - PITCH_MM * (which + 0.5)) < SIDE_MM / 2

    (row, in_row), (column, in_column) = along(ROWS), along(COLUMNS)
    return row[:, None] * COLUMNS + column[None, :], in_row[:, None] & in_column[None, :]


def _cross_section(subject: Subject, level: float, axis: Float) -> CrossSection:
    del level
    values = square_values(subject)
    squares = tuple(
        Tissue(1.0, ff, t1, T2_MS, t1fat, t1fat_spread=0)
        for ff, t1, t1fat in zip(values["ff"], values["t1h2o"], values["t1fat"], strict=True)
    )
    names = tuple(f"square {n + 1}" for n in range(len(squares)))
    nearest, inside = _nearest(axis)
    label = np.where(inside, nearest + 1, 0).astype(np.uint8)
    return CrossSection(label, ("air", *names), (TISSUES["air"], *squares))


def _field_maps(subject: Subject, level: float, axis: Float) -> tuple[Float, Float]:
    del level
    values, (nearest, _) = square_values(subject), _nearest(axis)
    return values["deltaf"].astype(np.float32)[nearest], values["b1"].astype(np.float32)[nearest]


SQUARES = Anatomy("90 squares with random values", 256.0, _cross_section, _field_maps)
