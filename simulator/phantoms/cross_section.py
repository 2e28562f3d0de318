"""Cross-sections of limbs and trunk: skin and fat around a fascia; inside it, muscles, bones, vessels and organs.

Every point inside the fascia belongs to the nearest muscle. There is a plane of fat where two muscles are about equally
near, and fat where all muscles are far. Bones, vessels and organs are painted over that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.fields import SmoothField
from spokestream.simulator.phantoms.muscles import Muscle, muscle_names, muscle_tissues
from spokestream.simulator.phantoms.shapes import Ellipse
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import Tissue, tissue_in

__all__ = ["CrossSection", "Envelope", "Part", "Plan", "Wave", "paint", "paint_parts", "tissues_of"]

Float = NDArray[np.float32]
Labels = NDArray[np.uint8]

SKIN_MM = 1.8
FASCIA_MM = 0.9


@dataclass(frozen=True, eq=False)
class CrossSection:
    """Tissue labels on a grid, with the name and the tissue of each label. Label 0 is air."""

    label: Labels
    names: tuple[str, ...]
    tissues: tuple[Tissue, ...]


class Wave(NamedTuple):
    """A term size * cos(order * bearing - phase) of a contour; bearings run from the side to the front."""

    order: int
    size: float
    phase: float = 0.0


@dataclass(frozen=True)
class Envelope:
    """The deep fascia, a superellipse with waves on it, and the fat between it and the skin."""

    width_mm: float
    height_mm: float
    fat_mm: tuple[Wave, ...]
    waves: tuple[Wave, ...] = ()
    """Relative to the contour."""
    power: float = 2.0
    """2 is an ellipse; more is squarer."""
    taper: float = 0.0
    """Relative growth per unit of level."""
    fat_taper_mm: float = 0.0
    uneven: float = 0.01
    """Standard deviation of the random part of the contour, relative to the contour."""

    def mean_mm(self, scale: float, level: float, fatness: float) -> float:
        """The mean radius of the skin."""
        muscle = np.sqrt(self.width_mm * self.height_mm) * scale * (1 + self.taper * level)
        fat = sum(wave.size for wave in self.fat_mm if wave.order == 0) + self.fat_taper_mm * level
        return float(muscle + fatness * fat + SKIN_MM)

    def fascia_mm(self, bearing: Float, wobble: Float) -> Float:
        """The distance from the centre to the deep fascia in this direction, before size and taper."""
        cos, sin = np.cos(bearing) / self.width_mm, np.sin(bearing) / self.height_mm
        radius = (np.abs(cos) ** self.power + np.abs(sin) ** self.power) ** (-1 / self.power)
        return np.asarray(radius * (1 + _sum(self.waves, bearing) + np.float32(self.uneven) * wobble))

    def subcutaneous_mm(self, bearing: Float, wobble: Float, level: float) -> Float:
        """The thickness of the fat in this direction, in a person of average fatness."""
        fat = _sum(self.fat_mm, bearing) + np.float32(self.fat_taper_mm * level) + np.float32(0.7) * wobble
        return np.asarray(np.maximum(fat, np.float32(1.0)))


@dataclass(frozen=True)
class Part:
    """A bone, a vessel or an organ, which is painted over the muscles."""

    tissue: str
    shape: Ellipse
    margin: float = 0.0
    """The part extends this far over the rim of its shape, in the units of the plan."""
    paired: bool = True
    """Whether the part is mirrored to the other side; if not, the first axis points to the patient's left."""
    under_skin: bool = False
    """Whether the part lies in the subcutaneous fat."""
    yields: bool = False
    """Whether the part, as organs do, leaves muscle unchanged where they overlap."""


@dataclass(frozen=True)
class Plan:
    """Anatomy of a cross-section, in a frame that points sideways and to the front."""

    tissues: tuple[str, ...]
    """Names of the labels before the muscles: air, skin, subcutaneous fat and fascia first."""
    muscles: dict[str, Muscle]
    parts: tuple[Part, ...]
    envelope: Envelope
    unit_mm: float
    """Millimetres per unit of the shapes, in a person of average size."""
    fill: str = "intermuscular fat"
    plane: float = 0.026
    """Width of fat planes, in units."""
    reach: float = 0.09
    """There is fat farther than this from all muscles, in units."""
    bend: float = 0.02
    """Standard deviation of the random bending of contours, in units."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels; label n has the n-th name."""
        return self.tissues + muscle_names(self.muscles)


def tissues_of(plan: Plan, subject: Subject, level: float) -> tuple[Tissue, ...]:
    """The tissue of each label of a plan in this person."""
    return tuple(tissue_in(subject, name) for name in plan.tissues) + muscle_tissues(plan.muscles, subject, level)


def paint(
    plan: Plan, x: Float, front: Float, level: float, subject: Subject, side: int | None, *, scale: float = 1.0
) -> Labels:
    """The labels (y, x) of one limb or of the trunk.

    Args:
        plan: the anatomy.
        x: coordinates (x,) in mm from the centre; for a limb towards the other limb, for the trunk to the left.
        front: coordinates (y,) in mm from the centre towards the front.
        level: position along the body.
        subject: the person.
        side: 0 for a right limb, 1 for a left limb, None for the trunk, which has both sides.
        scale: size over the average.

    """
    purpose = ("trunk", "right", "left")[0 if side is None else side + 1]
    wobble, bend_x, bend_y = (
        SmoothField(subject.rng(purpose, word), 22.0)(front, x, level) for word in ("contour", "sideways", "forwards")
    )
    across, ahead = np.meshgrid(x.astype(np.float32), front.astype(np.float32))
    scale *= 1 + plan.envelope.taper * level
    bearing, distance = np.arctan2(ahead, across), np.hypot(across, ahead)
    fascia = np.float32(scale) * plan.envelope.fascia_mm(bearing, wobble)
    skin = fascia + np.float32(subject.fatness) * plan.envelope.subcutaneous_mm(bearing, wobble, level)
    unit = np.float32(scale * plan.unit_mm)
    u, v = across / unit, ahead / unit
    label = np.full(distance.shape, plan.tissues.index("subcutaneous fat"), np.uint8)
    veins, deep = ([part for part in plan.parts if part.under_skin is shallow] for shallow in (True, False))
    paint_parts(label, plan.tissues, veins, u, v, level, distance > fascia + 1.0, mirrored=side is None)
    label[distance <= fascia] = plan.tissues.index("fascia")
    inside = distance < fascia - np.float32(FASCIA_MM)
    # bend the contours, because no muscle is an ellipse
    u, v = u + np.float32(plan.bend) * bend_x, v + np.float32(plan.bend) * bend_y
    muscle = _muscle_labels(plan, u, v, level, wobble, side)
    label[inside] = muscle[inside]
    free = inside & (label < len(plan.tissues))
    for yields, parts in groupby(deep, key=lambda part: part.yields):
        paint_parts(label, plan.tissues, parts, u, v, level, free if yields else inside, mirrored=side is None)
    label[distance > skin] = plan.tissues.index("skin")
    label[distance > skin + np.float32(SKIN_MM)] = plan.tissues.index("air")
    return label


def _muscle_labels(plan: Plan, u: Float, v: Float, level: float, wobble: Float, side: int | None) -> Labels:
    """The label of the nearest muscle at every point, and fat between and around muscles."""
    left = u > 0 if side is None else np.full(u.shape, side == 1)
    u = np.abs(u) if side is None else u
    nearest = np.full(u.shape, np.inf, np.float32)
    second = nearest.copy()
    label = np.zeros(u.shape, np.uint8)
    for n, muscle in enumerate(plan.muscles.values(), start=len(plan.tissues)):
        gauge = np.minimum.reduce([shape.gauge(u, v, level) for shape in muscle.shapes])
        closer = gauge < nearest
        second = np.minimum(second, np.where(closer, nearest, gauge))
        nearest = np.minimum(nearest, gauge)
        label[closer] = n
    label[left] += np.uint8(len(plan.muscles))
    with np.errstate(invalid="ignore"):  # distances are infinite where all muscles have ended
        between = ~(second - nearest >= np.float32(plan.plane) * (1 + np.float32(0.46) * wobble))
    label[between | (nearest > np.float32(plan.reach))] = plan.tissues.index(plan.fill)
    return label


def paint_parts(
    label: Labels, names: tuple[str, ...], parts: Iterable[Part], u: Float, v: Float, level: float,
    where: NDArray[np.bool_], *, mirrored: bool,
) -> None:  # fmt: skip
    """Paint parts over `label`, in order, where the mask `where` allows it; `mirrored` counts u from the midline."""
    lateral = np.abs(u) if mirrored else u
    for part in parts:
        gauge = part.shape.gauge(lateral if part.paired else u, v, level)
        label[where & (gauge < part.margin)] = names.index(part.tissue)


def _sum(waves: tuple[Wave, ...], bearing: Float) -> Float:
    total = np.zeros_like(bearing)
    for wave in waves:
        total += np.float32(wave.size) * np.cos(wave.order * bearing - np.float32(wave.phase))
    return total
