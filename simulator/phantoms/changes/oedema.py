"""Focal oedema: regions of muscle whose water has a longer T1 and T2, at any fat fraction."""

from dataclasses import replace

import numpy as np

from spokestream.simulator.phantoms.changes.discs import depths_mm
from spokestream.simulator.phantoms.phantom import Phantom

__all__ = ["OEDEMA", "T1_MS", "oedema"]

OEDEMA = "oedema"
"""The label of the voxels in the regions."""
NUMBER = 6
"""Regions in a slice."""
RADIUS_MM = (6.0, 14.0)
RIM_MM = 2.0
"""Depth below the rim of a region at which its T1 and T2 are reached."""
T1_MS = 400.0
"""Increase of water T1, about the most that inflammation adds in a whole muscle of the phantoms."""
T2_MS = 20.0
"""Increase of water T2."""
MOST_FF = 0.7
"""Largest fat fraction at the centre of a region; in tissue with more fat there is no muscle."""


def oedema(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The slice with focal oedema; regions that overlap do not add up."""
    depth = np.full(phantom.pd.shape, -np.inf, np.float32)
    for of_region in depths_mm(phantom, rng, NUMBER, RADIUS_MM, MOST_FF):
        np.maximum(depth, of_region, out=depth)
    amount = np.where(phantom.t1h2o > 0, np.clip(depth / RIM_MM, 0, 1), 0).astype(np.float32)
    inside = amount > 0
    return replace(
        phantom,
        t1h2o=phantom.t1h2o + T1_MS * amount,
        t2h2o=phantom.t2h2o + T2_MS * amount,
        label=np.where(inside, len(phantom.label_names), phantom.label).astype(np.uint8),
        label_names=(*phantom.label_names, OEDEMA),
    )
