"""Anatomy of the mid-thigh in cross-section: which tissue lies where in one leg.

A leg is described in its own frame, in millimetres: `medial` points to the other leg, `anterior` to the front.
Muscles are unions of ellipses inside the deep fascia; every point goes to the nearest muscle, and where two are
about equally near there is intermuscular fat. The arrangement follows common anatomical atlases.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMMON_TISSUES", "MUSCLES", "TISSUE_NAMES", "Ellipse", "leg_tissue", "muscle_label"]

Float = NDArray[np.float32]

COMMON_TISSUES = (
    "air", "skin", "subcutaneous fat", "fascia", "intermuscular fat", "cortical bone", "bone marrow", "blood", "nerve",
)  # fmt: skip
AIR, SKIN, SUBCUTANEOUS, FASCIA, INTERMUSCULAR, CORTEX, MARROW, BLOOD, NERVE = range(len(COMMON_TISSUES))


@dataclass(frozen=True)
class Ellipse:
    """Centre and semi-axes in units of the compartment's radius, and how they change towards the hip."""

    medial: float
    anterior: float
    width: float
    height: float
    tilt_deg: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    """Shift of the centre (medial, anterior) per unit of level."""
    growth: float = 0.0
    """Relative growth per unit of level."""

    def gauge(self, medial: Float, anterior: Float, level: float) -> Float:
        """Approximate signed distance to the rim, negative inside, in the units of the coordinates."""
        u, v = medial - (self.medial + level * self.drift[0]), anterior - (self.anterior + level * self.drift[1])
        c, s = np.float32(np.cos(np.deg2rad(self.tilt_deg))), np.float32(np.sin(np.deg2rad(self.tilt_deg)))
        a, b = (np.float32(axis * (1 + level * self.growth)) for axis in (self.width, self.height))
        radius = np.sqrt(((c * u + s * v) / a) ** 2 + ((c * v - s * u) / b) ** 2)
        return np.asarray((radius - 1) * np.sqrt(a * b))


MUSCLES: dict[str, tuple[Ellipse, ...]] = {
    "rectus femoris": (Ellipse(-0.02, 0.75, 0.27, 0.17, 0, (0.02, 0.0), 0.25),),
    "vastus intermedius": (
        Ellipse(-0.12, 0.44, 0.32, 0.12, 0, (0.0, 0.0), -0.1),
        Ellipse(-0.42, 0.22, 0.10, 0.22, 15),
        Ellipse(0.14, 0.30, 0.08, 0.15, -20),
    ),
    "vastus lateralis": (
        Ellipse(-0.55, 0.56, 0.20, 0.26, 40),
        Ellipse(-0.74, 0.18, 0.19, 0.36, 5),
        Ellipse(-0.62, -0.16, 0.17, 0.17, 0, (0.0, -0.02)),
    ),
    "vastus medialis": (
        Ellipse(0.40, 0.52, 0.22, 0.24, -35, (-0.05, 0.0), -0.35),
        Ellipse(0.27, 0.27, 0.13, 0.17, -20, (-0.03, 0.0), -0.2),
    ),
    "sartorius": (Ellipse(0.72, 0.36, 0.11, 0.20, -28, (-0.16, 0.26)),),
    "adductor longus": (Ellipse(0.52, 0.03, 0.18, 0.10, 20, (0.0, 0.04), 0.5),),
    "adductor magnus": (
        Ellipse(0.36, -0.24, 0.32, 0.15, 15, (0.0, 0.0), 0.3),
        Ellipse(0.06, -0.20, 0.16, 0.12, -10, (0.0, 0.0), 0.2),
    ),
    "gracilis": (Ellipse(0.84, -0.12, 0.09, 0.23, 12, (0.0, 0.12)),),
    "semimembranosus": (Ellipse(0.56, -0.57, 0.25, 0.17, 35, (-0.05, 0.03), -0.35),),
    "semitendinosus": (Ellipse(0.16, -0.74, 0.21, 0.16, 5, (0.0, 0.0), 0.1),),
    "biceps femoris, long head": (Ellipse(-0.27, -0.66, 0.23, 0.22, -20, (0.08, 0.0), 0.1),),
    "biceps femoris, short head": (Ellipse(-0.36, -0.32, 0.17, 0.12, 35, (0.0, 0.03), -0.4),),
}

FEMUR = Ellipse(-0.13, 0.12, 0.195, 0.19, 0, (-0.02, 0.02), 0.03)
MARROW_CAVITY = Ellipse(-0.13, 0.125, 0.105, 0.105, 0, (-0.02, 0.02), 0.05)
VESSELS = (
    Ellipse(0.44, 0.235, 0.050, 0.048, 0, (-0.06, 0.12)),  # femoral artery, under the sartorius
    Ellipse(0.49, 0.155, 0.066, 0.055, 0, (-0.06, 0.12)),  # femoral vein
    Ellipse(0.10, -0.03, 0.036, 0.030, 0, (0.06, 0.05)),  # deep femoral vessels
    Ellipse(0.15, -0.05, 0.030, 0.026, 0, (0.06, 0.05)),
)
SCIATIC_NERVE = Ellipse(-0.04, -0.43, 0.085, 0.055, -10, (0.02, 0.0))
SAPHENOUS_VEIN = Ellipse(1.10, 0.10, 0.045, 0.035, 0, (0.0, 0.1))

SIDES = ("right", "left")
TISSUE_NAMES = COMMON_TISSUES + tuple(f"{side} {muscle}" for side in SIDES for muscle in MUSCLES)
"""Label n in a phantom is TISSUE_NAMES[n]."""


def muscle_label(side: int, muscle: str) -> int:
    """Label of a muscle of the right (0) or left (1) leg."""
    return len(COMMON_TISSUES) + side * len(MUSCLES) + list(MUSCLES).index(muscle)


def leg_tissue(
    medial: Float, anterior: Float, wobble: Float, radius_mm: float, level: float, side: int
) -> NDArray[np.uint8]:
    """Tissue label at every point of one leg.

    Args:
        medial: coordinate towards the other leg, mm, any shape.
        anterior: coordinate towards the front, mm.
        wobble: smooth random field of unit size that makes contours and fat planes uneven.
        radius_mm: mean radius of the leg.
        level: place along the thigh, -1 (towards the knee) .. 1 (towards the hip).
        side: 0 right, 1 left.

    """
    bearing = np.arctan2(anterior, medial)
    outline = radius_mm * (1 + 0.030 * np.cos(2 * bearing + 0.9) + 0.018 * np.cos(3 * bearing - 0.4) + 0.008 * wobble)
    distance = np.hypot(medial, anterior)
    # fat is thickest at the inner and back side
    fat_mm = (
        8.5 + 3.5 * np.cos(bearing) - 1.5 * np.sin(bearing) + 1.2 * np.cos(3 * bearing) + 1.5 * level + 0.7 * wobble
    )
    fascia_radius = outline - 1.8 - fat_mm
    u, v = (x / (0.83 * radius_mm) for x in (medial, anterior))
    inside = _compartment(u, v, wobble, level, side)
    label = np.where(distance < fascia_radius - 0.9, inside, np.uint8(FASCIA))
    label[distance > fascia_radius] = SUBCUTANEOUS
    label[(distance > fascia_radius + 1.0) & (SAPHENOUS_VEIN.gauge(u, v, level) < 0)] = BLOOD
    label[distance > outline - 1.8] = SKIN
    label[distance > outline] = AIR
    return np.asarray(label, np.uint8)


def _compartment(u: Float, v: Float, wobble: Float, level: float, side: int) -> NDArray[np.uint8]:
    """What lies inside the deep fascia, which is at about |(u, v)| = 1."""
    # bent coordinates: no muscle is an ellipse
    u, v = u + np.float32(0.02) * wobble, v + np.float32(0.02) * np.roll(wobble, wobble.shape[0] // 3, axis=0)
    nearest = np.full(u.shape, np.inf, np.float32)
    second = nearest.copy()
    label = np.zeros(u.shape, np.uint8)
    for muscle, ellipses in MUSCLES.items():
        gauge = np.minimum.reduce([e.gauge(u, v, level) for e in ellipses])
        closer = gauge < nearest
        second = np.minimum(second, np.where(closer, nearest, gauge))
        nearest = np.minimum(nearest, gauge)
        label[closer] = muscle_label(side, muscle)
    plane = np.float32(0.026) + np.float32(0.012) * wobble
    label[(second - nearest < plane) | (nearest > 0.09)] = INTERMUSCULAR
    for ellipse, tissue, margin in (
        *((vessel, INTERMUSCULAR, 0.03) for vessel in VESSELS),
        (SCIATIC_NERVE, INTERMUSCULAR, 0.035),
        *((vessel, BLOOD, 0.0) for vessel in VESSELS),
        (SCIATIC_NERVE, NERVE, 0.0),
        (FEMUR, CORTEX, 0.0),
        (MARROW_CAVITY, MARROW, 0.0),
    ):
        label[ellipse.gauge(u, v, level) < margin] = tissue
    return label
