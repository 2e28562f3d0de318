"""The voxels in which the maps of a scan have a meaning, as a reader of its images finds them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.quantities import QUANTITIES, masked

__all__ = ["shown_foreground", "valid_voxels"]

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


def shown_foreground(maps: Mapping[str, Volume]) -> Mask:
    """The mask (slices, y, x) in which any map has a value; outside the tissue, all maps are 0."""
    return np.asarray(np.any([volume != 0 for volume in maps.values()], axis=0))


def valid_voxels(maps: Mapping[str, Volume]) -> dict[str, Mask]:
    """Name of a map -> mask (slices, y, x) of the voxels in which it has a meaning.

    These are the voxels of tissue that follow the rule of the map's quantity. A quantity with a rule is never 0: where
    its map is 0, the chain had a reason of its own to leave the value out, for instance a stricter rule of a network.
    """
    tissue = shown_foreground(maps)
    valid = {}
    for name, volume in maps.items():
        where = QUANTITIES[name].where
        if where is None:
            valid[name] = tissue
        else:
            valid[name] = (masked(where, tissue, maps) if where.quantity in maps else tissue) & (volume != 0)
    return valid
