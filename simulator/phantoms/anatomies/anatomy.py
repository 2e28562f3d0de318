"""The description of an anatomy that the renderer needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.cross_section import CrossSection, Plan, paint, tissues_of
from spokestream.simulator.phantoms.fields import LEVEL_MM
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["Anatomy", "limbs", "trunk"]

Float = NDArray[np.float32]

WIDEST_MM = 173.0
"""Largest distance of the outer side of a leg from the middle."""


@dataclass(frozen=True)
class Anatomy:
    """One part of the body."""

    about: str
    fov_mm: float
    """Field of view that is large enough for everybody."""
    cross_section: Callable[[Subject, float, Float], CrossSection]
    """Computes labels (y, x) of a subject at a level, on a fine grid with this axis in mm along both directions."""
    field_maps: Callable[[Subject, float, Float], tuple[Float, Float]]
    """Computes off-resonance in Hz and B1 over nominal, each (y, x), on the grid of the pixels; one unit of this level
    is `LEVEL_MM`."""
    level_mm: float = LEVEL_MM
    """Length of one unit of level along the body."""
    texture_mm: tuple[float, ...] = (15.0,)
    """Correlation lengths of the fields, of equal strength, by which T1 and T2 of water vary within a tissue."""


def limbs(plan: Plan, subject: Subject, level: float, axis: Float, gap_mm: float) -> CrossSection:
    """Both legs side by side, with `gap_mm` between them if there is room."""
    label = np.zeros((len(axis), len(axis)), np.uint8)
    for side, sign in enumerate((-1, 1)):
        rng = subject.rng(("right", "left")[side], "place")
        scale = subject.size * (1 + 0.015 * rng.standard_normal())
        radius = plan.envelope.mean_mm(scale, level, subject.fatness)
        center_x = sign * min(
            radius + gap_mm, WIDEST_MM - 1.06 * radius
        )  # thick legs touch each other, so that they stay in the picture
        center_y = 2.5 * rng.standard_normal()
        rows, columns = (np.flatnonzero(np.abs(axis - c) < 1.25 * radius) for c in (center_y, center_x))
        if not (rows.size and columns.size):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        medial, front = -sign * (axis[box[1]] - np.float32(center_x)), -(axis[box[0]] - np.float32(center_y))
        leg = paint(plan, medial, front, level, subject, side, scale=scale)
        label[box] = np.where(leg == 0, label[box], leg)
    return CrossSection(label, plan.label_names, tissues_of(plan, subject, level))


def trunk(plan: Plan, subject: Subject, level: float, axis: Float) -> CrossSection:
    """The trunk, in the middle of the picture."""
    label = np.zeros((len(axis), len(axis)), np.uint8)
    reach = 1.2 * np.hypot(plan.envelope.width_mm, plan.envelope.height_mm)
    near = np.flatnonzero(np.abs(axis) < reach)
    box = slice(near[0], near[-1] + 1)
    label[box, box] = paint(plan, axis[box], -axis[box], level, subject, None, scale=subject.size)
    return CrossSection(label, plan.label_names, tissues_of(plan, subject, level))
