"""The ISMRM/NIST system phantom at 3 T: the layer of its T1 array (level 0 .. 1) or of its T2 array (-1 .. 0).

Each array has 14 spheres, ten on a ring and four on a square within, in water. Relaxation times of the spheres are the
published ones (Stupic et al., Magn Reson Med 2021;86:1194). Sizes and places of the spheres are from memory of that
description, not from a drawing; relaxation times of the water around them are estimates.
"""

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.anatomies.anatomy import Anatomy
from spokestream.simulator.phantoms.cross_section import CrossSection
from spokestream.simulator.phantoms.field_maps import FieldMaps
from spokestream.simulator.phantoms.subject import Subject
from spokestream.simulator.phantoms.tissues import TISSUES, Tissue

__all__ = ["NIST", "SPHERES_MM", "SPHERE_MM", "T1_ARRAY_MS", "T2_ARRAY_MS"]

T1_ARRAY_MS = (
    (1989, 1465), (1454, 1076), (984.1, 717.9), (706, 510.1), (496.7, 359.6), (351.5, 255.5), (247.13, 180.8),
    (175.3, 127.3), (125.9, 90.3), (89.0, 64.3), (62.7, 45.7), (44.53, 31.86), (30.84, 22.38), (21.719, 15.83),
)  # fmt: skip
"""(T1, T2) of the spheres of the T1 array."""
T2_ARRAY_MS = (
    (2480, 581.3), (2173, 403.5), (1907, 278.1), (1604, 190.94), (1332, 133.27), (1044, 96.89), (801.7, 64.07),
    (608.6, 46.42), (458.4, 31.97), (336.5, 22.56), (244.2, 15.813), (176.6, 11.237), (126.9, 7.911), (90.9, 5.592),
)  # fmt: skip
"""(T1, T2) of the spheres of the T2 array."""

WATER = Tissue(1.0, 0.0, 2700, 1900)
VESSEL_MM, SPHERE_MM, WALL_MM = 97.0, 7.5, 1.0
RING_MM, INNER_MM = 50.0, 28.3
"""Distances of the spheres from the middle; the inner ones are the corners of a square of 40 mm."""
SPHERES_MM = tuple(
    (float(distance * np.cos(angle)), float(distance * np.sin(angle)))
    for distance, first, n in ((RING_MM, -np.pi / 2, 10), (INNER_MM, -np.pi / 4, 4))
    for angle in first + 2 * np.pi * np.arange(n) / n
)
"""Centres (x, y) of the spheres of both arrays, in the order of their values; x to the patient's left, y to the back.
"""


def _cross_section(subject: Subject, level: float, axis: NDArray[np.float32]) -> CrossSection:
    del subject  # the phantom is the same in all scanners
    x, y = axis[None, :], axis[:, None]
    values = T1_ARRAY_MS if level >= 0 else T2_ARRAY_MS
    label = (np.hypot(x, y) < VESSEL_MM).astype(np.uint8)
    for n, (x_mm, y_mm) in enumerate(SPHERES_MM):
        distance = np.hypot(x - x_mm, y - y_mm)
        label[distance < SPHERE_MM + WALL_MM] = 0
        label[distance < SPHERE_MM] = 2 + n
    spheres = tuple(Tissue(1.0, 0.0, t1, t2) for t1, t2 in values)
    names = tuple(f"sphere {n + 1}" for n in range(len(values)))
    return CrossSection(label, ("air", "water", *names), (TISSUES["air"], WATER, *spheres))


NIST = Anatomy(
    "the ISMRM/NIST system phantom: T1 array (level 0 and up) or T2 array",
    220.0,
    _cross_section,
    FieldMaps(b1=0.95, b1_tilt=0.03, b1_drop=1e-5, b1_range=(0.7, 1.1), smooth_hz=15.0),
)
