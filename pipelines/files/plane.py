"""A slice as a reader of a picture needs it: which edge is the patient's left, where the slice is, shape of a pixel."""

from dataclasses import dataclass

import ismrmrd
import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN_PLANE", "Plane", "plane_of"]

AXES = ("L", "R"), ("P", "A"), ("H", "F")
"""Letters of the positive and the negative direction of the patient's axes: left, posterior, head."""
SMALLEST_COMPONENT = 0.3
"""Smallest component of a direction for which its axis is named; beyond 73 degrees an axis is nearly perpendicular."""


@dataclass(frozen=True)
class Plane:
    """The place of a slice in the patient."""

    left: str
    right: str
    top: str
    bottom: str
    """Patient directions of the edges: L, R, A, P, H, F, or several if the slice is oblique; empty if unknown."""
    position: str
    """Position along the slice direction: `H 12.5 mm`."""
    pixel_aspect: float
    """Height of a pixel over its width."""


UNKNOWN_PLANE = Plane("", "", "", "", "", 1.0)


def plane_of(image: ismrmrd.Image) -> Plane:
    """The plane of a map's image, from the directions and the position in its header."""
    width, height, _ = np.array(image.field_of_view) / np.array(image.matrix_size)
    read, phase, normal = (np.array(d, float) for d in (image.read_dir, image.phase_dir, image.slice_dir))
    offset = float(normal @ np.array(image.position))
    side = "" if round(offset, 1) == 0 else _letters(np.copysign(1, offset) * normal)
    where = f"{side} {abs(offset):.1f} mm".lstrip()
    return Plane(_letters(-read), _letters(read), _letters(-phase), _letters(phase), where, float(height / width))


def _letters(direction: NDArray[np.float64]) -> str:
    """The letters of the axes along a direction, the largest component first."""
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(AXES[axis][int(direction[axis] < 0)] for axis in order if abs(direction[axis]) >= SMALLEST_COMPONENT)
