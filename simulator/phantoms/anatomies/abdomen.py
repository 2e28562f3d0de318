"""The abdomen in cross-section, from the navel (-1) through the kidneys (0) to the dome of the liver (1).

Shapes in centimetres from the middle of the trunk, after common anatomical atlases.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy, trunk
from spokestream.simulator.phantoms.cross_section import CrossSection, Envelope, Part, Plan, Wave
from spokestream.simulator.phantoms.field_maps import AirPocket, FieldMaps
from spokestream.simulator.phantoms.muscles import Muscle
from spokestream.simulator.phantoms.shapes import Arc, Ellipse
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["ABDOMEN"]

MUSCLES = {
    "erector spinae": Muscle((Ellipse(3.9, -7.6, 2.9, 1.6, 6, (0.0, 0.1), -0.15),), 0.75, 0.40, 0.15),
    "multifidus": Muscle((Ellipse(1.3, -7.3, 0.8, 1.2, 0, (0.0, 0.0), -0.2),), 0.70, 0.35, 0.15),
    "psoas": Muscle((Ellipse(3.9, -3.7, 1.4, 1.7, 10, (-0.6, 0.0), -0.45, (-3.0, 0.75)),), 0.30, 0.20, 0.10),
    "quadratus lumborum": Muscle((Ellipse(7.3, -5.9, 1.6, 0.8, 30, (0.0, 0.0), -0.2, (-3.0, 0.55)),), 0.40, 0.25, 0.10),
    "rectus abdominis": Muscle((Ellipse(3.5, 8.3, 3.0, 0.55, -6),), 0.35, 0.25, 0.10),
    "obliques": Muscle(
        (Arc(0.0, 0.0, 13.5, 8.9, thickness=1.5, start_deg=-38, end_deg=42),),
        0.40, 0.25, 0.10,
    ),
    "latissimus dorsi": Muscle(
        (Arc(0.0, 0.0, 13.6, 8.9, thickness=0.8, start_deg=-58, end_deg=-42, span=(-0.6, 3.0)),), 0.45, 0.25, 0.10
    ),
}  # fmt: skip

VERTEBRA = Ellipse(0.0, -3.7, 2.3, 1.75)
RIGHT_LIVER = Ellipse(-6.6, 0.5, 5.2, 5.7, -8, (0.0, 0.2), 0.08, (-0.75, 3.0))
LEFT_LIVER = Ellipse(-1.0, 4.7, 5.0, 2.2, -8, (1.0, 0.0), 0.3, (-0.15, 3.0))
SPLEEN = Ellipse(10.5, -2.0, 1.7, 3.5, -14, (-0.4, 0.0), 0.15, (-0.35, 1.6))
KIDNEY = Ellipse(7.0, -3.5, 2.1, 2.8, -25, (-0.5, 0.0), 0.0, (-0.75, 0.55))
RENAL_SINUS = Ellipse(5.9, -2.8, 1.2, 1.3, -25, (-0.5, 0.0), 0.0, (-0.45, 0.3))
STOMACH = Ellipse(5.9, 3.0, 4.2, 3.0, 20, (0.2, -0.8), 0.35, (0.0, 3.0))
RIBS = tuple(
    Arc(0.0, 0.0, 13.3, 8.8, thickness=0.8, start_deg=start, end_deg=end, span=(low, 3.0))
    for start, end, low in ((-50, -42, 0.0), (-24, -15, 0.2), (4, 11, 0.4), (28, 35, 0.6))
)
LUNG_BASE = Arc(0.0, -0.2, 12.0, 7.6, thickness=1.2, start_deg=-52, end_deg=-14, span=(0.55, 3.0))
COLON = (
    Ellipse(-9.6, 0.6, 2.0, 2.2, span=(-3.0, -0.35)),  # ascending
    Ellipse(9.8, 0.4, 1.7, 1.9, span=(-3.0, 0.15)),  # descending
    Ellipse(-5.5, 5.6, 2.9, 1.5, -8, span=(-1.2, -0.3)),  # transverse
    Ellipse(0.5, 6.1, 3.6, 1.4, 4, span=(-0.9, 0.1)),
    Ellipse(6.6, 5.3, 2.6, 1.5, -12, span=(-0.9, 0.15)),
)
SMALL_BOWEL = tuple(
    Ellipse(x, y, 1.7, 1.3, tilt, span=(-3.0, top))
    for x, y, tilt, top in (
        (-6.2, 2.4, 20, -0.4), (-3.2, 3.0, -30, -0.2), (0.2, 2.6, 10, 0.0), (3.4, 2.2, 40, 0.1), (6.4, 2.2, 0, 0.1),
        (4.6, 0.0, -20, 0.0), (-4.8, 0.0, 15, -0.4),
    )
)  # fmt: skip

PLAN = Plan(
    tissues=(
        "air", "skin", "subcutaneous fat", "fascia", "visceral fat", "cortical bone", "red marrow", "blood", "nerve",
        "liver", "kidney", "spleen", "pancreas", "bowel", "urine", "lung", "spinal fluid",
    ),
    muscles=MUSCLES,
    parts=(
        Part("cortical bone", VERTEBRA),
        Part("red marrow", VERTEBRA, -0.12),
        Part("cortical bone", Ellipse(0.0, -6.0, 1.5, 1.0)),  # the arch of the vertebra
        Part("cortical bone", Ellipse(2.6, -5.7, 1.9, 0.35, -8)),  # its transverse process
        Part("red marrow", Ellipse(2.6, -5.7, 1.7, 0.18, -8)),
        Part("spinal fluid", Ellipse(0.0, -5.8, 1.0, 0.7)),
        Part("nerve", Ellipse(0.0, -6.0, 0.6, 0.35)),  # cauda equina
        Part("cortical bone", Ellipse(0.0, -7.9, 0.35, 1.3)),  # spinous process
        Part("red marrow", Ellipse(0.0, -7.9, 0.2, 1.1)),
        *(Part("bowel", loop, paired=False, yields=True) for loop in SMALL_BOWEL),
        *(Part("bowel", loop, paired=False, yields=True) for loop in COLON),
        Part("air", Ellipse(6.6, 5.9, 1.5, 0.6, span=(-0.8, 0.1)), paired=False, yields=True),
        Part("air", Ellipse(-5.5, 6.0, 1.4, 0.5, span=(-1.0, -0.4)), paired=False, yields=True),
        Part("bowel", STOMACH, paired=False, yields=True),
        Part("air", Ellipse(6.2, 4.7, 2.2, 0.8, 10, span=(0.2, 3.0)), paired=False, yields=True),
        Part("pancreas", Ellipse(1.9, 0.7, 4.0, 0.95, 14, span=(-0.25, 0.45)), paired=False, yields=True),
        Part("visceral fat", SPLEEN, 0.15, paired=False, yields=True),
        Part("spleen", SPLEEN, paired=False, yields=True),
        Part("liver", RIGHT_LIVER, paired=False, yields=True),
        Part("liver", LEFT_LIVER, paired=False, yields=True),
        Part("visceral fat", KIDNEY, 0.25, yields=True),
        Part("kidney", KIDNEY, yields=True),
        Part("visceral fat", RENAL_SINUS, yields=True),
        Part("lung", LUNG_BASE, yields=True),
        *(Part("cortical bone", rib) for rib in RIBS),
        *(Part("red marrow", rib, -0.15) for rib in RIBS),
        *(
            Part("blood", Ellipse(x, y, 0.55, 0.35, tilt, span=(0.0, 3.0)), paired=False)  # in the liver
            for x, y, tilt in ((-4.4, 1.4, 30), (-7.6, 2.6, -20), (-6.8, -1.4, 60), (-9.2, 0.4, 10), (-3.6, 3.9, 70))
        ),
        Part("urine", Ellipse(-5.6, 4.4, 1.2, 1.8, 30, span=(-0.4, 0.4)), paired=False, yields=True),  # gallbladder
        Part("blood", Ellipse(0.7, -1.0, 1.0, 1.0), paired=False),  # aorta
        Part("blood", Ellipse(-2.0, -1.0, 1.2, 0.95), paired=False),  # inferior vena cava
        Part("blood", Ellipse(0.4, 0.9, 0.5, 0.5, span=(-0.9, 0.3)), paired=False),  # superior mesenteric vessels
    ),
    envelope=Envelope(
        width_mm=142.0,
        height_mm=96.0,
        fat_mm=(Wave(0, 15.0), Wave(1, 1.0, 1.571), Wave(2, -2.0)),
        waves=(Wave(2, 0.010), Wave(3, 0.010, 1.571)),
        power=2.4,
        taper=-0.02,
        fat_taper_mm=-3.0,
        uneven=0.006,
    ),
    unit_mm=10.0,
    fill="visceral fat",
    plane=0.14,
    reach=0.4,
    bend=0.14,
)  # fmt: skip


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    return trunk(PLAN, subject, level, axis)


ABDOMEN = Anatomy(
    "the abdomen, from navel to liver dome",
    450.0,
    _cross_section,
    FieldMaps(
        b1=0.78,
        smooth_hz=40.0,
        edge_hz=30.0,
        edge_mm=150.0,
        pockets=(
            AirPocket(66, -55, -30, 14),
            AirPocket(60, -52, 70, 20),
            AirPocket(-60, 30, 190, 60),
            AirPocket(60, 30, 190, 60),
        ),
    ),
)
