"""Every quantity that is mapped, declared once: unit, ranges, how it is stored, shown and named in files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = [
    "AT_LIMIT", "MISFIT", "QUANTITIES", "TRUSTED", "Bids", "Quantity", "Spread", "Where", "declare", "masked",
    "wrong_code",
]  # fmt: skip

TRUSTED, MISFIT, AT_LIMIT = 0, 10, 20
"""Codes of the map of trust that concern no single quantity."""
FIRST_SERIES = 100
"""The series numbers of maps are above this one."""


@dataclass(frozen=True)
class Where:
    """A rule that selects voxels by the value of one quantity."""

    quantity: str
    above: float = -math.inf
    below: float = math.inf

    def mask(self, values: Mapping[str, Any]) -> Any:
        """Boolean array of the voxels that follow the rule.

        Args:
            values: name of a quantity -> its map, arrays or tensors of one shape; must hold the rule's quantity.

        """
        value = values[self.quantity]
        return (value > self.above) & (value < self.below)

    def __str__(self) -> str:
        bounds = [f"> {self.above:g}"] * math.isfinite(self.above) + [f"< {self.below:g}"] * math.isfinite(self.below)
        return f"{QUANTITIES[self.quantity].symbol} {' and '.join(bounds)}"


@dataclass(frozen=True)
class Bids:
    """Name and unit of a quantity in the Brain Imaging Data Structure, version 1.9 (qMRI)."""

    suffix: str
    unit: str
    per_unit: float = 1.0
    """BIDS value of one unit of ours: 0.001 for ms, which BIDS gives in s."""
    desc: str = ""
    """Value of the entity `desc`, which distinguishes quantities that have the same suffix."""

    @property
    def name(self) -> str:
        """The name of a file without ending and without the entities of the subject: `desc-water_T1map`."""
        return f"desc-{self.desc}_{self.suffix}" if self.desc else self.suffix


@dataclass(frozen=True)
class Spread:
    """How the map of a quantity's standard deviation is stored and shown; its unit is the quantity's."""

    series: int
    high: float
    slope: float


@dataclass(frozen=True)
class Quantity:
    """One quantity. Integer images store round((value - offset) / slope).

    With the slopes below, the whole physical range fits 0..4095, the 12 bits of a scanner's images, in steps that are
    finer than the maps are precise: water T1 is good to tens of ms, the fat fraction to about one percent.
    """

    name: str
    """Key in `ParameterMaps`, in the metadata (`spokestream_map`) and in file names."""
    title: str
    unit: str
    """The unit; "1" is dimensionless."""
    series: int | None
    """`image_series_index`, never reused: high, so that no series of the scanner is overwritten. None is no image."""
    low: float
    """Lower end of the display window, in `unit`."""
    high: float | None
    """Upper end of the display window; None where the scale is the scan's own."""
    slope: float | None
    """Physical step of one stored unit; None where the scale is the scan's own."""
    offset: float
    """Physical value that is stored as 0."""
    role: str
    """Gadgetron's `DataRole`."""
    colours: str
    """Colour map for figures: a name of matplotlib, or of `cmap` if it has a colon."""
    lut: str = ""
    """Colour table on a FIRE scanner; grey if empty."""
    symbol: str = ""
    """Short form in tables, where the title is too long."""
    where: Where | None = None
    """The rule for the voxels in which the quantity has a meaning; None is everywhere in tissue."""
    spread: Spread | None = None
    """The map of its standard deviation, `<name>_std`; None if there is none."""
    bids: Bids | None = None
    logarithmic: bool = False
    """Whether colours follow the logarithm of the value, as for relaxation times (Fuderer et al. 2025)."""
    meaning: str = ""
    """What the value is, in one sentence for reports."""
    codes: Mapping[int, str] | None = field(default=None, compare=False)
    """What each value stands for, if values are codes instead of numbers on a scale."""

    @property
    def is_check(self) -> bool:
        """Whether the map says how far other maps can be trusted: a standard deviation, or a quality of the match."""
        return self.role == "Image_Other"

    @property
    def validity(self) -> str:
        """The voxels in which the quantity has a meaning, in words: `FF < 0.7`, or `tissue`."""
        return str(self.where or "tissue")

    @property
    def label(self) -> str:
        """Title with unit, for axes and tables."""
        return self.title if self.unit == "1" else f"{self.title} ({self.unit})"

    @property
    def digits(self) -> str:
        """Format of its values in tables of errors."""
        return ".3f" if self.unit == "1" else ".1f"

    @property
    def standard_deviation(self) -> "Quantity | None":
        """The quantity that is its standard deviation."""
        if self.spread is None:
            return None
        return replace(
            self, name=f"{self.name}_std", title=f"{self.title}, sd", series=self.spread.series, low=0.0,
            high=self.spread.high, slope=self.spread.slope, offset=0.0, role="Image_Other", colours="cividis", lut="",
            symbol="", spread=None, bids=None, logarithmic=False,
            meaning=f"Expected standard deviation of the value of {self.title} in a voxel.",
        )  # fmt: skip


def masked(where: Where | None, mask: Any, values: Mapping[str, Any]) -> Any:
    """The voxels of a mask that follow a rule; all of them if the rule is None.

    Args:
        where: the rule.
        mask: array or tensor of booleans, for instance the tissue.
        values: name of a quantity -> its map, of the shape of the mask; must hold the rule's quantity.

    """
    return mask if where is None else mask & where.mask(values)


QUANTITIES: dict[str, Quantity] = {}
"""All quantities by name, standard deviations included."""
_TRUST = {
    TRUSTED: "trusted",
    MISFIT: "the signal contradicts the maps",
    AT_LIMIT: "a value is at a limit of the method",
}


def wrong_code(quantity: Quantity) -> int:
    """The code of a wrong value in the map of trust: positive if it should be higher, and its negative if lower."""
    assert quantity.series is not None
    return quantity.series - FIRST_SERIES


def declare(quantity: Quantity) -> Quantity:
    """Make a quantity, and its standard deviation, known under its name; returns it.

    Raises ValueError when the name or the series number belongs to another quantity: that is a programming error.
    """
    for one in (quantity, quantity.standard_deviation):
        if one is None:
            continue
        taken = {q.series for q in QUANTITIES.values() if q.series is not None}
        if one.name in QUANTITIES or one.series in taken:
            raise ValueError(f"the quantity '{one.name}' or its series {one.series} is already declared")
        QUANTITIES[one.name] = one
    if quantity.spread is not None:
        _TRUST[wrong_code(quantity)] = f"{quantity.title} should be higher"
        _TRUST[-wrong_code(quantity)] = f"{quantity.title} should be lower"
    return quantity


_HOT = "MicroDeltaHotMetal.pal"

for _quantity in (
    Quantity("ff", "Fat fraction", "1", 101, 0, 1, 0.00025, 0, "FATFRACTION", "magma", _HOT, "FF",
             spread=Spread(111, 0.2, 0.00025), bids=Bids("FFmap", "percent", 100),
             meaning="Proton density of fat over that of fat and water: 0 is water alone, 1 is fat alone."),
    Quantity("t1h2o", "Water T1", "ms", 102, 500, 2300, 1, 0, "T1", "crameri:lipari", _HOT, "T1w",
             where=Where("ff", below=0.7), spread=Spread(112, 300, 1), logarithmic=True,
             bids=Bids("T1map", "s", 0.001, "water"),
             meaning="Longitudinal relaxation time of the water in a voxel."),
    Quantity("t1fat", "Fat T1", "ms", 103, 200, 500, 1, 0, "T1", "crameri:lipari", _HOT, "T1f",
             where=Where("ff", above=0.3), spread=Spread(113, 150, 0.25), logarithmic=True,
             bids=Bids("T1map", "s", 0.001, "fat"),
             meaning="Longitudinal relaxation time of the fat in a voxel."),
    Quantity("deltaf", "Off-resonance", "Hz", 104, -120, 120, 0.125, -256, "FREQMAP", "coolwarm", symbol="df",
             spread=Spread(114, 40, 0.0625), bids=Bids("fieldmap", "Hz"),
             meaning="Local resonance frequency of water minus the centre frequency of the scan."),
    Quantity("b1", "B1", "1", 105, 0.3, 1.3, 0.0005, 0, "B1MAP", "plasma", symbol="B1",
             spread=Spread(115, 0.2, 0.00025), bids=Bids("TB1map", "1"),
             meaning="Actual over nominal flip angle."),
    Quantity("t1", "T1", "ms", 116, 100, 3000, 1, 0, "T1", "crameri:lipari", _HOT, "T1", logarithmic=True,
             spread=Spread(126, 300, 1), bids=Bids("T1map", "s", 0.001),
             meaning="Longitudinal relaxation time of a voxel."),
    Quantity("t2", "T2", "ms", 117, 10, 1000, 0.5, 0, "T2", "crameri:navia", _HOT, "T2", logarithmic=True,
             spread=Spread(127, 100, 0.25), bids=Bids("T2map", "s", 0.001),
             meaning="Transverse relaxation time of a voxel."),
    Quantity("pd", "Proton density", "a.u.", 106, 0, None, None, 0, "PD", "gray", symbol="PD",
             bids=Bids("PDmap", "arbitrary"),
             meaning="Proton density in arbitrary units, with the shading of the coils."),
    Quantity("phase", "Phase", "rad", 107, -math.pi, math.pi, 0.002, -4, "Phase", "twilight",
             meaning="Phase of the signal of a voxel, extrapolated to an echo time of 0."),
    Quantity("correlation", "Match quality", "1", 108, 0.5, 1, 0.00025, 0, "Image_Other", "viridis",
             meaning="Fraction of the norm of a fingerprint that the matched signal explains; 1 is all of it."),
    Quantity("residual", "Unexplained signal", "1", 109, 0, 0.5, 0.00025, 0, "Image_Other", "viridis",
             meaning="Fraction of the norm of a fingerprint that the maps do not explain; most of it is aliasing."),
    Quantity("misfit", "Misfit over noise", "1", 110, 0, 5, 0.005, 0, "Image_Other", "inferno",
             meaning="Amplitude of the part of the unexplained signal that other values of the maps would explain, "
             "over that of noise and aliasing; about 1 where the maps are right."),
    Quantity("trust", "Trust", "1", 118, -25.5, 25.5, 1, -32, "Image_Other", "trust", codes=_TRUST,
             meaning="Whether the signal of a voxel and its neighbours contradicts a value of the maps; 0 is trusted, "
             "other codes are reasons."),
    Quantity("t2h2o", "Water T2", "ms", None, 20, 120, 1, 0, "T2", "crameri:navia", symbol="T2w", logarithmic=True,
             meaning="Transverse relaxation time of the water in a voxel."),
):  # fmt: skip
    declare(_quantity)
