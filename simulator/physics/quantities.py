"""The kinds of map that leave the stream: units, stable series numbers, how they are stored and shown."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAP_KINDS", "MapKind", "fit_to_scan"]


@dataclass(frozen=True)
class MapKind:
    """One kind of map. Integer images store round((value - offset) / slope).

    With the slopes below the whole physical range fits 0..4095, the 12 bits of a scanner's images, in steps
    finer than the maps are precise (water T1 is good to tens of ms, fat fraction to a percent or so). The
    standard deviation that a network expects of its map `<name>` is the map `<name>_std`.
    """

    name: str
    """In `ParameterMaps`, in the metadata (`spokestream_map`) and in file names."""
    title: str
    unit: str
    """"1" is dimensionless."""
    series: int
    """`image_series_index`, never reused: high, so that no series of the scanner is overwritten."""
    low: float
    """Lower end of the display window, in `unit`."""
    high: float | None
    """Upper end of the display window; None where the scale is the scan's own."""
    slope: float | None
    """Physical step of one stored unit; None where the scale is the scan's own, see `fit_to_scan`."""
    offset: float
    """Physical value that is stored as 0."""
    gadgetron_role: str
    colours: str
    """Matplotlib colour map of figures."""
    lut: str = ""
    """Colour table on a FIRE scanner; none shows grey."""


_HOT = "MicroDeltaHotMetal.pal"

MAP_KINDS: dict[str, MapKind] = {
    kind.name: kind
    for kind in (
        MapKind("ff", "Fat fraction", "1", 101, 0, 1, 0.00025, 0, "FATFRACTION", "magma", _HOT),
        MapKind("t1h2o", "Water T1", "ms", 102, 500, 2300, 1, 0, "T1", "viridis", _HOT),
        MapKind("t1fat", "Fat T1", "ms", 103, 200, 500, 1, 0, "T1", "viridis", _HOT),
        MapKind("deltaf", "Off-resonance", "Hz", 104, -120, 120, 0.125, -256, "FREQMAP", "coolwarm"),
        MapKind("b1", "B1", "1", 105, 0.3, 1.3, 0.0005, 0, "B1MAP", "plasma"),
        MapKind("pd", "Proton density", "a.u.", 106, 0, None, None, 0, "PD", "gray"),
        MapKind("phase", "Phase", "rad", 107, -math.pi, math.pi, 0.002, -4, "Phase", "twilight"),
        MapKind("correlation", "Match quality", "1", 108, 0.5, 1, 0.00025, 0, "Image_Other", "viridis"),
        MapKind("residual", "Unexplained signal", "1", 109, 0, 0.5, 0.00025, 0, "Image_Other", "viridis"),
        MapKind("misfit", "Misfit over noise", "1", 110, 0, 5, 0.005, 0, "Image_Other", "inferno"),
        MapKind("ff_std", "Fat fraction, sd", "1", 111, 0, 0.2, 0.00025, 0, "Image_Other", "cividis"),
        MapKind("t1h2o_std", "Water T1, sd", "ms", 112, 0, 300, 1, 0, "Image_Other", "cividis"),
        MapKind("t1fat_std", "Fat T1, sd", "ms", 113, 0, 150, 0.25, 0, "Image_Other", "cividis"),
        MapKind("deltaf_std", "Off-resonance, sd", "Hz", 114, 0, 40, 0.0625, 0, "Image_Other", "cividis"),
        MapKind("b1_std", "B1, sd", "1", 115, 0, 0.2, 0.00025, 0, "Image_Other", "cividis"),
    )
}
"""By name, in the order in which the maps of a slice leave."""


def fit_to_scan(kind: MapKind, values: NDArray[np.float32]) -> MapKind:
    """Choose slope and window of a map without a scale of its own, from (n,) values of the first slice.

    The 99th percentile is stored between 512 and 1024: steps of 0.2 % or finer, and room for slices four times
    as bright. A power of two keeps the slope exact in any precision.
    """
    bright = float(np.percentile(values, 99)) if values.size else 0.0
    exponent = math.frexp(bright)[1] if bright > 0 else 10
    slope = math.ldexp(1.0, exponent - 10)
    return replace(kind, slope=slope, high=1024 * slope)
