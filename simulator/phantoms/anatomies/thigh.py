"""Both thighs in cross-section, from above the knee (-1) to below the hip (1), after common anatomical atlases."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy, limbs
from spokestream.simulator.phantoms.cross_section import CrossSection, Envelope, Part, Plan, Wave
from spokestream.simulator.phantoms.field_maps import FieldMaps
from spokestream.simulator.phantoms.muscles import Muscle
from spokestream.simulator.phantoms.shapes import Ellipse
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["THIGH"]

MUSCLES = {
    "rectus femoris": Muscle((Ellipse(-0.02, 0.75, 0.27, 0.17, 0, (0.02, 0.0), 0.25),), 0.35, 0.45, 0.15),
    "vastus intermedius": Muscle(
        (
            Ellipse(-0.12, 0.44, 0.32, 0.12, 0, (0.0, 0.0), -0.1),
            Ellipse(-0.42, 0.22, 0.10, 0.22, 15),
            Ellipse(0.14, 0.30, 0.08, 0.15, -20),
        ),
        0.30, 0.70, 0.20,
    ),
    "vastus lateralis": Muscle(
        (
            Ellipse(-0.55, 0.56, 0.20, 0.26, 40),
            Ellipse(-0.74, 0.18, 0.19, 0.36, 5),
            Ellipse(-0.62, -0.16, 0.17, 0.17, 0, (0.0, -0.02)),
        ),
        0.40, 0.75, 0.20,
    ),
    "vastus medialis": Muscle(
        (
            Ellipse(0.40, 0.52, 0.22, 0.24, -35, (-0.05, 0.0), -0.35),
            Ellipse(0.27, 0.27, 0.13, 0.17, -20, (-0.03, 0.0), -0.2),
        ),
        0.25, 0.75, 0.20,
    ),
    "sartorius": Muscle((Ellipse(0.72, 0.36, 0.11, 0.20, -28, (-0.16, 0.26)),), 0.15, 0.35, 0.20),
    "adductor longus": Muscle((Ellipse(0.52, 0.03, 0.18, 0.10, 20, (0.0, 0.04), 0.5),), 0.10, 0.20, 0.10),
    "adductor magnus": Muscle(
        (
            Ellipse(0.36, -0.24, 0.32, 0.15, 15, (0.0, 0.0), 0.3),
            Ellipse(0.06, -0.20, 0.16, 0.12, -10, (0.0, 0.0), 0.2),
        ),
        0.50, 0.25, 0.15,
    ),
    "gracilis": Muscle((Ellipse(0.84, -0.12, 0.09, 0.23, 12, (0.0, 0.12)),), 0.05, 0.15, 0.15),
    "semimembranosus": Muscle((Ellipse(0.56, -0.57, 0.25, 0.17, 35, (-0.05, 0.03), -0.35),), 0.65, 0.35, 0.30),
    "semitendinosus": Muscle((Ellipse(0.16, -0.74, 0.21, 0.16, 5, (0.0, 0.0), 0.1),), 0.40, 0.30, 0.30),
    "biceps femoris, long head": Muscle((Ellipse(-0.27, -0.66, 0.23, 0.22, -20, (0.08, 0.0), 0.1),), 0.60, 0.30, 0.30),
    "biceps femoris, short head": Muscle(
        (Ellipse(-0.36, -0.32, 0.17, 0.12, 35, (0.0, 0.03), -0.4),), 0.30, 0.30, 0.35
    ),
}  # fmt: skip

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

PLAN = Plan(
    tissues=(
        "air", "skin", "subcutaneous fat", "fascia", "intermuscular fat", "cortical bone", "bone marrow", "blood",
        "nerve",
    ),
    muscles=MUSCLES,
    parts=(
        Part("blood", SAPHENOUS_VEIN, under_skin=True),
        *(Part("intermuscular fat", vessel, 0.03) for vessel in VESSELS),
        Part("intermuscular fat", SCIATIC_NERVE, 0.035),
        *(Part("blood", vessel) for vessel in VESSELS),
        Part("nerve", SCIATIC_NERVE),
        Part("cortical bone", FEMUR),
        Part("bone marrow", MARROW_CAVITY),
    ),
    envelope=Envelope(
        width_mm=66.0,
        height_mm=66.0,
        # fat is thickest at the inner and back side
        fat_mm=(Wave(0, 8.5), Wave(1, 3.8, -0.4), Wave(3, 1.2)),
        waves=(Wave(2, 0.030, -0.9), Wave(3, 0.018, 0.4)),
        taper=0.055,
        fat_taper_mm=1.5,
    ),
    unit_mm=63.0,
)  # fmt: skip


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    return limbs(PLAN, subject, level, axis, gap_mm=8.5)


THIGH = Anatomy("both thighs, from knee to hip", 350.0, _cross_section, FieldMaps(b1=0.77, edge_hz=68.0))
