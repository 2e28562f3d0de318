"""Both lower legs in cross-section, from mid-shin (-1) to below the knee (1), after common anatomical atlases."""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy, limbs
from spokestream.simulator.phantoms.cross_section import CrossSection, Envelope, Part, Plan, Wave
from spokestream.simulator.phantoms.field_maps import FieldMaps
from spokestream.simulator.phantoms.muscles import Muscle
from spokestream.simulator.phantoms.shapes import Ellipse
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["CALF"]

MUSCLES = {
    "tibialis anterior": Muscle((Ellipse(-0.20, 0.62, 0.25, 0.29, 20, (0.02, 0.0), 0.1),), 0.30, 0.20, 0.75),
    "extensor digitorum longus": Muscle((Ellipse(-0.55, 0.47, 0.15, 0.24, 35),), 0.25, 0.20, 0.70),
    "peroneus": Muscle((Ellipse(-0.78, 0.10, 0.16, 0.28, 8, (0.0, 0.04)),), 0.30, 0.20, 0.75),
    "tibialis posterior": Muscle((Ellipse(-0.14, 0.13, 0.20, 0.17, -15, (0.0, 0.0), -0.1),), 0.10, 0.10, 0.35),
    "flexor digitorum longus": Muscle((Ellipse(0.36, 0.02, 0.17, 0.09, 10, (0.0, 0.0), -0.3),), 0.15, 0.15, 0.45),
    "flexor hallucis longus": Muscle((Ellipse(-0.36, -0.17, 0.17, 0.11, 20, (0.0, 0.0), -0.6),), 0.15, 0.15, 0.45),
    "soleus": Muscle(
        (
            Ellipse(-0.02, -0.30, 0.58, 0.16, 0, (0.0, 0.0), -0.15),
            Ellipse(-0.58, -0.24, 0.20, 0.17, 10, (0.0, 0.0), -0.2),
            Ellipse(0.62, -0.08, 0.17, 0.16, -35, (0.0, 0.0), -0.3),
        ),
        0.55, 0.35, 0.40,
    ),
    "gastrocnemius medialis": Muscle(
        (Ellipse(0.42, -0.62, 0.38, 0.24, 28, (0.0, 0.02), 0.25), Ellipse(0.76, -0.30, 0.13, 0.22, -25)),
        0.70, 0.65, 0.45,
    ),
    "gastrocnemius lateralis": Muscle((Ellipse(-0.42, -0.64, 0.36, 0.21, -28, (0.0, 0.0), 0.4),), 0.50, 0.40, 0.50),
}  # fmt: skip

TIBIA = (Ellipse(0.41, 0.42, 0.33, 0.30, -35, (0.0, 0.0), 0.15), Ellipse(0.24, 0.66, 0.15, 0.22, -20))
TIBIAL_MARROW = Ellipse(0.40, 0.43, 0.21, 0.19, -35, (0.0, 0.0), 0.3)
FIBULA = Ellipse(-0.55, 0.02, 0.115, 0.125)
FIBULAR_MARROW = Ellipse(-0.55, 0.02, 0.050, 0.060)
VESSELS = (
    Ellipse(0.16, -0.09, 0.050, 0.036),  # posterior tibial
    Ellipse(-0.18, -0.09, 0.046, 0.034),  # peroneal
    Ellipse(-0.30, 0.30, 0.040, 0.036),  # anterior tibial, on the membrane between the bones
)
TIBIAL_NERVE = Ellipse(0.04, -0.10, 0.055, 0.040)

PLAN = Plan(
    tissues=(
        "air", "skin", "subcutaneous fat", "fascia", "intermuscular fat", "cortical bone", "bone marrow", "blood",
        "nerve",
    ),
    muscles=MUSCLES,
    parts=(
        Part("blood", Ellipse(1.09, 0.12, 0.045, 0.035), under_skin=True),  # great saphenous vein
        Part("blood", Ellipse(-0.05, -1.10, 0.040, 0.032), under_skin=True),  # small saphenous vein
        *(Part("intermuscular fat", vessel, 0.03) for vessel in (*VESSELS, TIBIAL_NERVE)),
        *(Part("blood", vessel) for vessel in VESSELS),
        Part("nerve", TIBIAL_NERVE),
        *(Part("cortical bone", bone) for bone in (*TIBIA, FIBULA)),
        Part("bone marrow", TIBIAL_MARROW),
        Part("bone marrow", FIBULAR_MARROW),
    ),
    envelope=Envelope(
        width_mm=51.0,
        height_mm=54.0,
        # the shin lies under the skin, the fat behind it
        fat_mm=(Wave(0, 5.5), Wave(1, 2.2, -0.7), Wave(2, 0.8, 0.5)),
        waves=(Wave(2, 0.020, 1.6), Wave(3, 0.020, 1.2)),
        taper=0.09,
        fat_taper_mm=0.8,
    ),
    unit_mm=52.0,
)  # fmt: skip


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    return limbs(PLAN, subject, level, axis, gap_mm=22.0)


CALF = Anatomy(
    "both lower legs, from mid-shin to knee",
    350.0,
    _cross_section,
    FieldMaps(b1=0.78, b1_tilt=0.05, edge_hz=45.0, edge_mm=112.0),
)
