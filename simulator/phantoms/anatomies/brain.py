"""The head in cross-section, from the midbrain (-1) through the basal ganglia (0) to above the ventricles (1).

Shapes in millimetres from the middle of the brain; one unit of level is 40 mm. Relaxation times at 3 T of white and
grey matter: Wansapura et al., J Magn Reson Imaging 1999;9:531; of spinal fluid: Cohen et al., Magn Reson Med
2018;80:885. Proton densities: BrainWeb. Deep grey matter and lesions are estimates, and so is how much T1 and T2 vary
between people and within a tissue.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy
from spokestream.simulator.phantoms.cross_section import CrossSection, Part, paint_parts
from spokestream.simulator.phantoms.field_maps import AirPocket, FieldMaps
from spokestream.simulator.phantoms.fields import LEVEL_MM, SmoothField
from spokestream.simulator.phantoms.shapes import Arc, Ellipse
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import TISSUES, Tissue

__all__ = ["BRAIN"]

Float = NDArray[np.float32]

REACH_MM = 40.0

TISSUE = {
    "air": TISSUES["air"],
    "skin": TISSUES["skin"],
    "scalp fat": TISSUES["subcutaneous fat"],
    "skull": TISSUES["cortical bone"],
    "bone marrow": TISSUES["bone marrow"],
    "spinal fluid": Tissue(1.00, 0, 3799, 870),
    "grey matter": Tissue(0.86, 0, 1331, 110, t1h2o_spread=50, t2h2o_spread=4),
    "white matter": Tissue(0.77, 0, 832, 80, t1h2o_spread=28, t2h2o_spread=2.5),
    "deep grey matter": Tissue(0.83, 0, 1150, 75, t1h2o_spread=40, t2h2o_spread=3),
    "lesion": Tissue(0.88, 0, 1350, 140, t1h2o_spread=150, t2h2o_spread=20),
}
NAMES = tuple(TISSUE)
BETWEEN_PEOPLE = {"t1h2o": 0.025, "t2h2o": 0.035}
"""Standard deviation, between people, of T1 and T2 of white and grey matter, relative to the mean."""

HALF_WIDTH_MM, HALF_LENGTH_MM, HALF_HEIGHT_MM = 75.0, 94.0, 78.0
SKIN_MM, SCALP_FAT_MM, TABLE_MM, DIPLOE_MM, FLUID_MM = 2.0, 3.5, 1.6, 3.0, 1.6
SULCI = 34
"""Number of sulci around the brain."""
MEDIAL_SULCI_MM = 13.0
"""Distance between sulci along the fissure between the hemispheres."""
SULCUS_MM = 0.5
"""Half the width of a sulcus at the age of 40; it varies along the sulcus."""
SULCUS_DEPTH_MM = (7.0, 28.0)
"""Smallest and largest depth at which a sulcus ends."""
CORTEX_MM = 2.6
"""Mean thickness of the cortex, which is 2 to 4 mm thick (Fischl and Dale, PNAS 2000;97:11050)."""
BENDS = ((14.0, 3.2), (7.0, 1.4))
"""Correlation length in mm and standard deviation in rad of the fields that bend the sulci."""

SYLVIAN_FISSURE = (
    Arc(58, 0, 20, 23, thickness=1.5, start_deg=120, end_deg=235, span=(-0.9, 0.55)),  # over the insula
    Arc(52, -72, 80, 80, thickness=1.5, start_deg=70, end_deg=99, span=(-1.6, 0.5)),  # from there to the surface
)
CISTERN = Part("spinal fluid", Ellipse(0, 8, 13, 9, span=(-3, -0.5)))
MIDBRAIN = Ellipse(0, -12, 18, 14, span=(-3, -0.45))
CEREBELLUM = Ellipse(0, -50, 36, 22, span=(-3, -0.5))
DEEP_PARTS = (
    Part("deep grey matter", Ellipse(13.5, 21, 4.5, 9, -14, span=(-0.4, 0.5))),  # caudate
    Part("deep grey matter", Ellipse(26.5, 6, 4.5, 13, -10, span=(-0.45, 0.3))),  # putamen
    Part("deep grey matter", Ellipse(19.5, 2, 3.2, 8, -22, span=(-0.4, 0.15))),  # pallidum
    Part("deep grey matter", Ellipse(9.5, -11, 7, 12, 24, span=(-0.4, 0.3))),  # thalamus
    CISTERN,
    Part("spinal fluid", MIDBRAIN, 2.5),
    Part("white matter", MIDBRAIN),
    Part("deep grey matter", Ellipse(6, -6, 3, 5, 30, span=(-3, -0.5))),  # red nucleus and black substance
    Part("spinal fluid", Ellipse(0, -20, 1.5, 1.5, span=(-3, -0.45))),  # aqueduct
    Part("spinal fluid", CEREBELLUM, 2.0),
    Part("grey matter", CEREBELLUM),
    *(
        Part("white matter", Ellipse(x, y, 9, width, tilt, span=(-3, -0.55)))  # the tree of the cerebellum
        for x, y, width, tilt in ((12, -47, 5, 10), (14, -55, 1.8, 70), (24, -43, 1.8, 25), (23, -53, 1.8, -25))
    ),
)  # fmt: skip
VENTRICLES = tuple(
    Part("spinal fluid", shape)
    for shape in (
        Ellipse(7.5, 24, 3.0, 10, -16, span=(-0.45, 0.6)),  # frontal horn
        Ellipse(10.5, 2, 3.6, 26, 8, span=(0.12, 0.75)),  # body
        Ellipse(20, -27, 3.6, 11, 22, span=(-0.55, 0.5)),  # trigone
        Ellipse(0, -4, 1.6, 10, span=(-0.75, 0.15)),  # third ventricle
    )
)


def _cross_section(subject: Subject, level: float, axis: Float) -> CrossSection:
    rng = subject.rng("head")
    scale = np.float32((1.0 if subject.sex == "male" else 0.96) * (1 + 0.02 * rng.standard_normal()))
    x, front = np.meshgrid(axis / scale, -axis / scale)
    z = level * REACH_MM / LEVEL_MM
    wobble, bend = (SmoothField(subject.rng("head", name), 25.0)(axis, axis, z) for name in ("contour", "bend"))
    label = np.zeros(x.shape, np.uint8)

    depth = _depth(x, front, level, wobble)
    layers = (
        ("skin", SKIN_MM), ("scalp fat", SCALP_FAT_MM * subject.fatness), ("skull", TABLE_MM),
        ("bone marrow", DIPLOE_MM), ("skull", TABLE_MM), ("spinal fluid", FLUID_MM + 0.02 * (subject.age_years - 40)),
    )  # fmt: skip
    for name, thickness in layers:
        label[depth > 0] = NAMES.index(name)
        depth = depth - np.float32(max(thickness, 0.8)) * (1 + np.float32(0.08) * bend)
    brain = depth > 0
    medial = _middle_fissure(x, front, level, wobble)
    fissures = [shape.gauge(np.abs(x), front, level) for shape in SYLVIAN_FISSURE]
    pial = np.minimum.reduce([depth, medial, *fissures, _sulci(x, front, depth, medial, subject, axis, z)])
    label[brain & (pial > 0)] = NAMES.index("grey matter")
    label[brain & (pial > CORTEX_MM * (1 + 0.12 * bend))] = NAMES.index("white matter")

    u, v = x + np.float32(0.8) * wobble, front + np.float32(0.8) * bend
    paint_parts(label, NAMES, DEEP_PARTS, u, v, level, brain, mirrored=True)
    white = label == NAMES.index("white matter")
    paint_parts(label, NAMES, _lesions(subject), u, v, level, white, mirrored=False)
    wide = 0.03 * (subject.age_years - 40)  # ventricles grow with age
    old = [Part(part.tissue, part.shape, part.margin + wide) for part in VENTRICLES]
    paint_parts(label, NAMES, old, u, v, level, brain, mirrored=True)
    return CrossSection(label, NAMES, tuple(_tissue_in(subject, name) for name in NAMES))


def _tissue_in(subject: Subject, name: str) -> Tissue:
    """A tissue in this person: T1 and T2 of white and grey matter differ between people."""
    tissue = TISSUE[name]
    if not name.endswith("matter"):
        return tissue
    rng = subject.rng("head", "tissue", name)
    factor = {pool: 1 + sd * np.clip(rng.standard_normal(), -3, 3) for pool, sd in BETWEEN_PEOPLE.items()}
    return replace(tissue, t1h2o=float(tissue.t1h2o * factor["t1h2o"]), t2h2o=float(tissue.t2h2o * factor["t2h2o"]))


def _depth(x: Float, front: Float, level: float, wobble: Float) -> Float:
    """The depth below the skin in mm, negative outside. The head is egg-shaped and narrower at the front."""
    round_off = np.sqrt(1 - (level * REACH_MM / HALF_HEIGHT_MM) ** 2)
    bearing = np.arctan2(front, x)
    outline = 1 / np.hypot(np.cos(bearing) / HALF_WIDTH_MM, np.sin(bearing) / HALF_LENGTH_MM)
    outline *= round_off * (1 - 0.018 * np.sin(3 * bearing - 0.1) - 0.02 * np.sin(bearing) ** 3 + 0.006 * wobble)
    return np.asarray(outline - np.hypot(x, front), np.float32)


def _sulci(
    x: Float, front: Float, depth: Float, medial: Float, subject: Subject, axis: Float, z: float
) -> Float:  # fmt: skip
    """The distance to the nearest sulcus in mm, negative inside.

    Sulci are lines of equal phase. The phase increases around the brain, or along the fissure between the hemispheres,
    and is bent by a random field. Sulci end at some depth below the surface.
    """
    fields = [(SmoothField(subject.rng("head", "sulci", str(mm)), mm), np.float32(sd)) for mm, sd in BENDS]
    bent = np.asarray(sum(sd * field(axis, axis, z) for field, sd in fields), np.float32)
    down, right = (np.gradient(bent, float(axis[1] - axis[0]), axis=n) for n in (0, 1))
    depths = subject.rng("head", "depth").uniform(*SULCUS_DEPTH_MM, (2, SULCI)).astype(np.float32)
    uneven = 3 * SmoothField(subject.rng("head", "depth", "along"), 11.0)(axis, axis, z)
    wide = SULCUS_MM * (1 + 0.3 * SmoothField(subject.rng("head", "width"), 9.0)(axis, axis, z))
    wide = np.maximum(wide + 0.012 * (subject.age_years - 40), 0.2)  # sulci widen with age
    radius = np.maximum(np.hypot(x, front), 1)
    per_mm = np.float32(2 * np.pi / MEDIAL_SULCI_MM)
    around = (SULCI * np.arctan2(front, x), -SULCI * front / radius**2, SULCI * x / radius**2, depth, depths[0])
    along = (per_mm * front, np.zeros_like(x), np.full_like(x, per_mm), medial, 0.6 * depths[1])
    distances = []
    for count, across, ahead, below, ends in (around, along):
        number = np.rint((count + bent) / np.float32(2 * np.pi))
        phase = count + bent - np.float32(2 * np.pi) * number
        end = ends[number.astype(np.int32) % SULCI] + uneven
        steepness = np.hypot(across + right, ahead - down)
        line = np.abs(phase) / np.maximum(steepness, 0.05)
        distances.append(np.hypot(line, np.maximum(below - end, 0)) - wide)
    return np.asarray(np.minimum(*distances), np.float32)


def _middle_fissure(x: Float, front: Float, level: float, wobble: Float) -> Float:
    """The distance to the fissure between the hemispheres in mm, negative inside; the corpus callosum interrupts it."""
    callosum = 36 * np.sqrt(max(0.0, 1 - (level / 0.6) ** 2))
    return np.asarray(np.hypot(x + 1.5 * wobble, np.maximum(callosum - np.abs(front), 0)) - 0.8, np.float32)


def _lesions(subject: Subject) -> list[Part]:
    """Round lesions near the ventricles, as in multiple sclerosis; patients have them, volunteers have none."""
    rng = subject.rng("head", "lesions")
    parts = []
    for _ in range(rng.poisson(60 * subject.severity)):
        bearing, radius = rng.uniform(-np.pi, np.pi), rng.gamma(4, 0.7)
        center, level = 16 + 18 * rng.random(), rng.uniform(-0.6, 1.0)
        half = radius / REACH_MM
        shape = Ellipse(
            center * np.cos(bearing), 1.5 * center * np.sin(bearing), radius, radius * rng.uniform(0.7, 1.4),
            np.rad2deg(bearing), span=(level - half, level + half),
        )  # fmt: skip
        parts.append(Part("lesion", shape, paired=False))
    return parts


BRAIN = Anatomy(
    "the head, from midbrain to above the ventricles, with lesions in patients",
    256.0,
    _cross_section,
    FieldMaps(
        b1=1.10,
        b1_tilt=0.04,
        b1_drop=4e-5,
        b1_range=(0.6, 1.25),
        smooth_hz=18.0,
        pockets=(AirPocket(0, -60, -62, 16), AirPocket(60, 20, -70, 12), AirPocket(-60, 20, -70, 12)),
    ),
    level_mm=REACH_MM,
    texture_mm=(2.5, 5.0, 10.0, 20.0),
)
