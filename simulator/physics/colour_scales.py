"""The colours of maps in figures.

T1 is shown in the colour map Lipari and T2 in Navia, on a logarithmic scale, black where the map has no meaning, as
Fuderer et al. recommend (Magn Reson Med 2025). These two colour maps are those of the package `cmap`, all others those
of matplotlib.
"""

import matplotlib
import numpy as np
from cmap import Colormap
from matplotlib.colors import Colormap as Colours
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spokestream.simulator.physics.quantities import Quantity

__all__ = ["INVALID", "TRUST", "colour_map", "colour_scale", "scale_ticks", "shown_range"]

INVALID = "black"
NICE = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Ticks in each decade of a logarithmic scale; the first choice that gives at most `MOST_TICKS` is taken."""
MOST_TICKS = 6


TRUST = {
    0: "#4a515d", 10: "#c9ccd1", 20: "#ff2fd6",
    1: "#ffa630", -1: "#a55d00", 2: "#ff6b6b", -2: "#b3232b", 3: "#ffe45e", -3: "#a58b00", 4: "#6db8ff", -4: "#1f61b0",
    5: "#cf8bff", -5: "#7a2fb5", 16: "#ff6b6b", -16: "#b3232b", 17: "#3fe0c5", -17: "#0e8573",
}  # fmt: skip
"""The colours of the codes of the map of trust. A quantity has one hue, light where it should be higher, dark where it
should be lower; quantities without an entry have `OTHER`."""
OTHER = "#9be564"
LAST_CODE = 25
"""The codes of the map of trust are at most this one."""


def colour_map(name: str) -> Colours:
    """The colour map of a name, with `INVALID` for NaN.

    Names with a colon are those of `cmap`; "trust" is that of the map of trust, for codes -25 to 25.
    """
    if name == "trust":
        codes = range(-LAST_CODE, LAST_CODE + 1)
        return ListedColormap([TRUST.get(code, OTHER) for code in codes], name).with_extremes(bad=INVALID)
    colours = Colormap(name).to_matplotlib() if ":" in name else matplotlib.colormaps[name]
    return colours.with_extremes(bad=INVALID)


def colour_scale(quantity: Quantity, low: float, high: float) -> Normalize:
    """The scale from the values low..high of a quantity to its colours."""
    return (LogNorm if quantity.logarithmic else Normalize)(low, high)


def shown_range(quantity: Quantity, values: NDArray[np.float32]) -> tuple[float, float]:
    """The window in which a quantity is shown; where the declaration gives no upper end, the values determine it.

    Args:
        quantity: the quantity.
        values: its values in valid voxels, of any shape.

    """
    low, high = quantity.low, quantity.high
    if high is None:
        high = float(np.percentile(values, 99.5)) if values.size else 1.0
        high = high if high > low else low + 1
    return low, high


def scale_ticks(scale: Normalize) -> list[float]:
    """Round values for the colour bar of a scale, at most six."""
    low, high = float(scale.vmin or 0), float(scale.vmax or 1)
    if isinstance(scale, LogNorm):
        choices = ([nice * 10.0**decade for decade in range(-6, 7) for nice in choice] for choice in NICE)
        inside = ([tick for tick in choice if low <= tick <= high] for choice in choices)
        return next((chosen for chosen in inside if len(chosen) <= MOST_TICKS), [])
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 3, 4, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]
