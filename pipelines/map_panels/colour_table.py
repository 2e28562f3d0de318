"""The colour map of a quantity as numbers, which a browser draws with."""

import numpy as np

from spokestream.simulator.physics.colour_scales import colour_map

__all__ = ["colour_table"]

N_COLOURS = 256


def colour_table(name: str) -> list[list[int]]:
    """Red, green and blue (0..255) of a colour map: `N_COLOURS` colours, and last the colour of invalid voxels.

    Args:
        name: a name of matplotlib, or of `cmap` if it has a colon.

    """
    colours = colour_map(name)
    table: list[list[int]] = (
        np.rint(255 * colours(np.append(np.linspace(0, 1, N_COLOURS), np.nan))[:, :3]).astype(int).tolist()
    )
    return table
