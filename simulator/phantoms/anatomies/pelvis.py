"""The pelvis in cross-section, from below the hip joints (-1) through the femoral heads (0) to the sacrum (1).

Shapes in centimetres from the middle of the pelvis, after common anatomical atlases.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy, trunk
from spokestream.simulator.phantoms.cross_section import CrossSection, Envelope, Part, Plan, Wave
from spokestream.simulator.phantoms.field_maps import AirPocket, FieldMaps
from spokestream.simulator.phantoms.muscles import Muscle
from spokestream.simulator.phantoms.shapes import Arc, Ellipse
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["PELVIS"]

MUSCLES = {
    "gluteus maximus": Muscle(
        (Ellipse(7.4, -6.6, 5.0, 1.9, 14, (0.0, -0.2), -0.05), Ellipse(12.2, -4.2, 2.2, 1.5, 35)), 0.65, 0.35, 0.20
    ),
    "gluteus medius": Muscle(
        (
            Ellipse(13.6, 1.9, 1.3, 3.0, 8, (-0.6, -0.4), 0.3, (-0.45, 3.0)),
            Ellipse(11.6, -2.6, 1.6, 0.9, 40, (0.0, 0.0), 0.4, (0.0, 3.0)),
        ),
        0.50, 0.25, 0.20,
    ),
    "gluteus minimus": Muscle((Ellipse(12.0, 2.9, 0.9, 2.0, 12, (-0.8, 0.3), 0.2, (-0.3, 3.0)),), 0.60, 0.25, 0.20),
    "tensor fasciae latae": Muscle((Ellipse(14.4, 5.2, 0.9, 1.7, 22, (-0.5, 0.4), -0.2),), 0.45, 0.30, 0.20),
    "sartorius": Muscle((Ellipse(11.8, 7.0, 0.9, 0.7, -30, (0.8, 0.2), -0.2, (-3.0, 0.9)),), 0.15, 0.35, 0.20),
    "rectus femoris": Muscle((Ellipse(12.0, 5.2, 1.1, 1.0, 0, (0.0, -0.3), -0.5, (-3.0, 0.45)),), 0.35, 0.45, 0.15),
    "iliopsoas": Muscle((Ellipse(9.0, 4.9, 1.8, 1.5, -10, (0.2, -1.2), 0.4),), 0.30, 0.30, 0.10),
    "pectineus": Muscle((Ellipse(5.8, 5.3, 1.7, 0.9, 35, (0.3, 0.0), -0.3, (-3.0, 0.2)),), 0.15, 0.25, 0.10),
    "obturator externus": Muscle((Ellipse(6.2, 2.0, 2.2, 0.9, 40, span=(-3.0, -0.15)),), 0.15, 0.15, 0.10),
    "obturator internus": Muscle((Ellipse(5.4, -0.8, 0.7, 3.0, 6, (-0.3, 0.0), 0.0, (-3.0, 0.5)),), 0.20, 0.15, 0.10),
    "short rotators": Muscle(
        (
            Ellipse(8.9, -3.5, 2.5, 0.75, 12, span=(-0.65, 0.35)),
            Ellipse(5.8, -4.4, 2.6, 1.0, 18, span=(0.15, 1.6)),  # piriformis
        ),
        0.35, 0.20, 0.15,
    ),
    "adductors": Muscle(
        (
            Ellipse(3.8, 2.4, 1.6, 2.2, 20, span=(-3.0, -0.35)),
            Ellipse(5.8, -0.8, 2.8, 1.7, 25, span=(-3.0, -0.45)),
        ),
        0.40, 0.25, 0.10,
    ),
    "hamstrings": Muscle((Ellipse(8.6, -3.3, 2.0, 1.0, 10, span=(-3.0, -0.5)),), 0.55, 0.30, 0.30),
    "vasti": Muscle(
        (Arc(12.7, 0.2, 2.5, 2.7, thickness=1.9, start_deg=-100, end_deg=160, span=(-3.0, -0.35)),), 0.35, 0.70, 0.20
    ),
    "rectus abdominis": Muscle((Ellipse(2.5, 8.7, 2.3, 0.55, -4, span=(-0.5, 3.0)),), 0.30, 0.20, 0.10),
    "levator ani": Muscle(
        (Arc(0.0, -4.2, 2.7, 3.0, thickness=0.45, start_deg=-110, end_deg=60, span=(-1.6, 0.1)),), 0.10, 0.10, 0.10
    ),
}  # fmt: skip

FEMORAL_HEAD = Ellipse(9.2, 0.7, 2.35, 2.4, span=(-0.26, 0.24))
FEMORAL_NECK = Ellipse(11.6, -0.3, 2.2, 1.3, 14, span=(-0.5, 0.1))
TROCHANTER = Ellipse(13.3, -0.9, 1.45, 1.9, -10, (0.2, -0.3), 0.0, (-0.75, 0.15))
SHAFT = Ellipse(12.9, 0.2, 1.6, 1.6, span=(-3.0, -0.45))
ACETABULUM = Arc(9.2, 0.7, 2.95, 3.0, thickness=0.9, start_deg=75, end_deg=295, span=(-0.36, 0.4))
PUBIS = Ellipse(3.4, 6.6, 3.2, 0.85, -22, span=(-0.6, 0.12))
ISCHIUM = Ellipse(7.0, -2.6, 1.2, 1.7, 15, span=(-0.85, 0.25))
ILIUM = Ellipse(9.6, 0.9, 0.75, 4.2, 32, (0.6, -0.8), 0.15, (0.12, 3.0))
SACRUM = Ellipse(0.0, -6.5, 3.2, 1.3, 0, (0.0, 1.8), 0.5, (0.0, 3.0))
COCCYX = Ellipse(0.0, -7.4, 0.9, 0.6, span=(-0.4, 0.3))
BONES = (FEMORAL_HEAD, FEMORAL_NECK, TROCHANTER, ACETABULUM, PUBIS, ISCHIUM, ILIUM)
BLADDER = Ellipse(0.0, 3.4, 3.5, 2.6, span=(-0.45, 0.75))
PROSTATE_OR_UTERUS = Ellipse(0.0, -1.0, 2.4, 1.5, span=(-0.6, 0.7))

PLAN = Plan(
    tissues=(
        "air", "skin", "subcutaneous fat", "fascia", "visceral fat", "cortical bone", "bone marrow", "red marrow",
        "blood", "nerve", "bowel", "pelvic organ", "bladder wall", "urine",
    ),
    muscles=MUSCLES,
    parts=(
        *(Part("cortical bone", bone) for bone in (*BONES, SHAFT)),
        *(Part("red marrow", bone, -0.22) for bone in (ACETABULUM, PUBIS, ISCHIUM, ILIUM)),
        *(Part("bone marrow", bone, -0.22) for bone in (FEMORAL_HEAD, FEMORAL_NECK, TROCHANTER)),
        Part("bone marrow", SHAFT, -0.55),
        *(Part("cortical bone", bone, paired=False) for bone in (SACRUM, COCCYX)),
        *(Part("red marrow", bone, -0.2, paired=False) for bone in (SACRUM, COCCYX)),
        Part("pelvic organ", PROSTATE_OR_UTERUS, paired=False, yields=True),
        Part("bladder wall", BLADDER, paired=False, yields=True),
        Part("urine", BLADDER, -0.3, paired=False, yields=True),
        Part("bowel", Ellipse(0.2, -4.3, 1.6, 1.5, span=(-3.0, 0.6)), paired=False, yields=True),  # rectum
        Part("air", Ellipse(0.3, -4.0, 0.7, 0.5, span=(-0.5, 0.6)), paired=False, yields=True),
        *(
            Part("bowel", Ellipse(x, y, 1.7, 1.4, tilt, span=(0.35, 3.0)), paired=False, yields=True)
            for x, y, tilt in (
                (-5.0, 4.6, 20), (-1.6, 5.6, -10), (1.9, 5.3, 30), (5.2, 4.4, 0), (0.4, 2.4, 0), (4.0, 1.4, 40),
            )
        ),
        Part("blood", Ellipse(7.4, 7.1, 0.5, 0.5, 0, (-0.8, -1.2))),  # femoral artery and vein
        Part("blood", Ellipse(6.5, 6.6, 0.6, 0.55, 0, (-0.8, -1.2))),
        Part("nerve", Ellipse(8.9, -4.6, 0.7, 0.4, 0, (-0.8, 0.0))),  # sciatic nerve
    ),
    envelope=Envelope(
        width_mm=158.0,
        height_mm=91.0,
        # buttocks are the fattest
        fat_mm=(Wave(0, 18.0), Wave(1, -5.0, 1.571), Wave(2, 3.0), Wave(4, -2.0)),
        waves=(Wave(4, 0.020),),
        power=2.5,
        taper=-0.03,
        fat_taper_mm=1.0,
        uneven=0.006,
    ),
    unit_mm=10.0,
    fill="visceral fat",
    plane=0.16,
    reach=0.45,
    bend=0.12,
)  # fmt: skip


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    return trunk(PLAN, subject, level, axis)


PELVIS = Anatomy(
    "the pelvis, from below the hips to the sacrum",
    450.0,
    _cross_section,
    FieldMaps(
        b1=0.78,
        smooth_hz=35.0,
        edge_hz=35.0,
        edge_mm=160.0,
        pockets=(AirPocket(3, 40, 0, 8), AirPocket(-40, -50, 70, 15)),
    ),
)
