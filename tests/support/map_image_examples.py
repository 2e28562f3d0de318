"""Map images as a chain gives them, for tests of what happens to them afterwards."""

import numpy as np

from spokestream.gadgets.map_images import MapImages
from spokestream.gadgets.messages import Geometry, ParameterMaps
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.sequences.loading import load_sequence

SHAPE = (9, 14)  # y, x
FOV = (280.0, 270.0, 8.0)  # pixels of 20 × 30 mm

READ, PHASE, NORMAL = (0.8, 0.6, 0.0), (0.0, 0.0, 1.0), (0.6, -0.8, 0.0)


def example_maps(slice_index=0):
    """ff, t1h2o and deltaf of one slice, 0 on the rim."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = (y > 0) & (y < SHAPE[0] - 1) & (x > 1) & (x < SHAPE[1] - 2)
    maps = {"ff": 0.05 * y + 0.01 * x, "t1h2o": 900 + 20 * x + 100 * slice_index, "deltaf": 10.0 * y - 5 * x}
    return {name: np.where(inside, values, 0).astype(np.float32) for name, values in maps.items()}, inside


def example_images(n_slices=1, gap_mm=20.0, order=None, dtype="uint16", positions=None):
    """Images of all slices; slice z lies at (5, -6, 7) + z * gap along the normal, or at the given positions."""
    header = ScanHeader("<xml/>", (28, 28, 1), (560, 560, 8), (14, 9, 1), FOV)
    scan = ScanContext(header, load_sequence("t1ff-2d-1400"), provenance={"trajectory": "embedded"})
    gadget = MapImages(scan, dtype)
    images = []
    for z in order or range(n_slices):
        position = np.array((5.0, -6.0, 7.0)) + z * gap_mm * np.array(NORMAL)
        if positions is not None:
            position = positions[z]
        geometry = Geometry(tuple(position), READ, PHASE, NORMAL, (0.0, 0.0, 0.0), FOV)
        maps, inside = example_maps(z)
        scan.integrity.record(z, "missing", z)
        images += gadget.feed(ParameterMaps(maps, z, geometry, inside))
    return images
