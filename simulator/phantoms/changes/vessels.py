"""Vessels with rims: small discs of blood, each in a rim of fat, as between muscles."""

from dataclasses import replace

import numpy as np

from spokestream.simulator.phantoms.changes.discs import depths_mm
from spokestream.simulator.phantoms.phantom import Phantom
from spokestream.simulator.phantoms.tissues import TISSUES

__all__ = ["RIM", "RIM_MM", "VESSEL", "vessels"]

VESSEL, RIM = "small vessel", "rim of a vessel"
"""The labels of the voxels of blood and of fat."""
NUMBER = 12
"""Vessels in a slice."""
RADIUS_MM = (2.5, 6.0)
"""Radius of a vessel together with its rim."""
RIM_MM = 1.5
"""Thickness of the rim."""
MOST_FF = 0.7


def vessels(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with vessels. A pixel belongs to the tissue at its centre; there are no partial volumes."""
    names = ("pd", "ff", "t1h2o", "t2h2o", "t1fat")
    values = {name: getattr(phantom, name).copy() for name in names}
    label, purity, first = phantom.label.copy(), phantom.purity.copy(), len(phantom.label_names)
    for depth in depths_mm(phantom, rng, NUMBER, RADIUS_MM, MOST_FF):
        parts = ("intermuscular fat", depth >= 0), ("blood", depth >= RIM_MM)
        for number, (name, of_part) in enumerate(parts):
            inside = of_part & (phantom.pd > 0)
            for quantity, of_quantity in values.items():
                of_quantity[inside] = getattr(TISSUES[name], quantity)
            label[inside], purity[inside] = first + 1 - number, 1
    return replace(phantom, **values, label=label, purity=purity, label_names=(*phantom.label_names, VESSEL, RIM))
