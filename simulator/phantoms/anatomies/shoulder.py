"""Both shoulders and the upper chest in cross-section, from the armpit (-1) to the top of the arm (1).

Shapes in units of 9.4 mm from the middle of the chest, after common anatomical atlases.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy, trunk
from spokestream.simulator.phantoms.cross_section import CrossSection, Envelope, Part, Plan, Wave
from spokestream.simulator.phantoms.field_maps import AirPocket, FieldMaps
from spokestream.simulator.phantoms.muscles import Muscle
from spokestream.simulator.phantoms.shapes import Arc, Ellipse
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["SHOULDER"]

MUSCLES = {
    "deltoid": Muscle(
        (Arc(15.7, 0.2, 3.5, 4.1, thickness=1.8, start_deg=-125, end_deg=115, growth=-0.2),),
        0.30, 0.35, 0.25,
    ),
    "supraspinatus": Muscle((Ellipse(10.2, -2.9, 3.4, 1.1, 30, span=(0.1, 2.0)),), 0.35, 0.25, 0.20),
    "infraspinatus": Muscle((Ellipse(11.6, -4.7, 3.7, 1.25, 33, (0.0, -0.3), -0.15),), 0.45, 0.30, 0.20),
    "teres minor": Muscle((Ellipse(14.7, -3.6, 1.3, 0.9, 40, span=(-2.0, 0.4)),), 0.20, 0.20, 0.20),
    "subscapularis": Muscle((Ellipse(10.6, -0.9, 3.4, 1.2, 34, (0.0, 0.0), -0.2),), 0.65, 0.35, 0.20),
    "pectoralis major": Muscle(
        (Ellipse(7.4, 6.5, 4.6, 0.9, -14, (0.0, 0.2), -0.25), Ellipse(12.6, 4.8, 2.6, 0.8, -25, span=(-2.0, 0.6))),
        0.45, 0.30, 0.15,
    ),
    "pectoralis minor": Muscle((Ellipse(9.8, 4.0, 1.9, 0.7, -30),), 0.20, 0.20, 0.15),
    "coracobrachialis and biceps": Muscle((Ellipse(14.4, 3.2, 0.8, 0.7, span=(-2.0, 0.7)),), 0.50, 0.35, 0.25),
    "trapezius": Muscle((Ellipse(4.4, -7.9, 4.2, 0.75, 10, (0.6, 0.2), 0.35),), 0.65, 0.30, 0.15),
    "rhomboid": Muscle((Ellipse(5.4, -6.6, 2.7, 0.55, 22),), 0.60, 0.30, 0.15),
    "erector spinae": Muscle((Ellipse(2.4, -6.4, 1.7, 1.0, 10),), 0.70, 0.40, 0.20),
    "intercostals": Muscle((Arc(5.0, -0.6, 4.1, 4.9, thickness=0.8, growth=-0.18),), 0.20, 0.15, 0.10),
    "serratus anterior": Muscle(
        (Arc(5.0, -0.6, 4.7, 5.5, thickness=0.9, start_deg=-62, end_deg=30),), 0.70, 0.30, 0.15
    ),
}  # fmt: skip

HUMERAL_HEAD = Ellipse(15.5, 0.2, 2.35, 2.45, span=(-0.7, 0.7))
SHAFT = Ellipse(15.9, 0.2, 1.4, 1.4, span=(-3.0, 0.3))
ACROMION = Ellipse(14.8, -0.6, 1.6, 2.2, -20, span=(0.55, 3.0))
BLADE = Ellipse(10.4, -2.7, 3.7, 0.42, 36)
GLENOID = Ellipse(12.9, -0.9, 0.65, 1.3, 10, span=(-0.5, 0.6))
CORACOID = Ellipse(12.6, 2.4, 0.75, 0.65, span=(0.1, 0.9))
CLAVICLE = Ellipse(8.0, 5.0, 4.6, 0.6, 8, (0.0, -1.0), span=(0.45, 2.0))
RIBS = tuple(
    Arc(5.0, -0.6, 4.1, 4.9, growth=-0.18, thickness=0.7, start_deg=start, end_deg=end)
    for start, end in ((-155, -80), (-35, 30), (75, 120))
)
LUNG = Ellipse(5.0, -0.6, 3.7, 4.5, growth=-0.2)
VERTEBRA = Ellipse(0.0, -2.9, 1.6, 1.3)
CANAL = Ellipse(0.0, -4.9, 0.95, 0.75)

PLAN = Plan(
    tissues=(
        "air", "skin", "subcutaneous fat", "fascia", "intermuscular fat", "cortical bone", "bone marrow", "red marrow",
        "blood", "nerve", "lung", "bowel", "spinal fluid", "spinal cord",
    ),
    muscles=MUSCLES,
    parts=(
        *(Part("cortical bone", rib) for rib in RIBS),
        *(Part("red marrow", rib, -0.15) for rib in RIBS),
        Part("lung", LUNG),
        Part("cortical bone", VERTEBRA),
        Part("red marrow", VERTEBRA, -0.12),
        Part("cortical bone", Ellipse(0.0, -5.0, 1.6, 1.3)),  # the arch of the vertebra
        Part("red marrow", Ellipse(2.1, -4.4, 1.5, 0.35)),  # its transverse process
        Part("spinal fluid", CANAL),
        Part("spinal cord", Ellipse(0.0, -4.9, 0.55, 0.4)),
        Part("cortical bone", Ellipse(0.0, -7.0, 0.35, 1.1)),  # spinous process
        Part("red marrow", Ellipse(0.0, -7.0, 0.2, 0.9)),
        Part("cortical bone", Ellipse(0.0, 5.3, 2.1, 0.75, span=(-3.0, 0.7))),  # sternum
        Part("red marrow", Ellipse(0.0, 5.3, 1.9, 0.55, span=(-3.0, 0.7))),
        Part("bowel", Ellipse(0.2, -1.0, 0.8, 0.5)),  # oesophagus
        Part("bowel", Ellipse(0.0, 0.7, 1.15, 1.0)),  # wall of the trachea
        Part("air", Ellipse(0.0, 0.7, 0.95, 0.8)),
        Part("blood", Ellipse(1.7, 1.8, 0.55, 0.55)),  # carotid arteries
        Part("blood", Ellipse(1.6, 3.2, 0.75, 0.6)),  # brachiocephalic veins
        Part("blood", Ellipse(10.9, 1.9, 0.45, 0.45)),  # axillary artery and vein
        Part("blood", Ellipse(11.6, 1.2, 0.55, 0.45)),
        Part("nerve", Ellipse(10.8, 1.0, 0.35, 0.3)),  # brachial plexus
        *(Part("cortical bone", bone) for bone in (SHAFT, HUMERAL_HEAD, ACROMION)),
        Part("bone marrow", SHAFT, -0.5),
        *(Part("bone marrow", bone, -0.22) for bone in (HUMERAL_HEAD, ACROMION)),
        Part("cortical bone", BLADE),
        Part("red marrow", BLADE, -0.16),
        *(Part("cortical bone", bone) for bone in (GLENOID, CORACOID, CLAVICLE)),
        *(Part("bone marrow", bone, -0.2) for bone in (GLENOID, CORACOID, CLAVICLE)),
    ),
    envelope=Envelope(
        width_mm=186.0,
        height_mm=79.0,
        fat_mm=(Wave(0, 8.0), Wave(2, -2.0), Wave(4, 1.0)),
        waves=(Wave(4, 0.035),),
        power=2.5,
        taper=-0.02,
        uneven=0.006,
    ),
    unit_mm=9.4,
    plane=0.14,
    reach=0.5,
    bend=0.12,
)  # fmt: skip


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    return trunk(PLAN, subject, level, axis)


SHOULDER = Anatomy(
    "both shoulders and the upper chest",
    450.0,
    _cross_section,
    FieldMaps(
        b1=0.80,
        smooth_hz=35.0,
        edge_hz=40.0,
        edge_mm=165.0,
        pockets=(AirPocket(50, 10, -70, 45), AirPocket(-50, 10, -70, 45), AirPocket(0, -7, 0, 9)),
    ),
)
