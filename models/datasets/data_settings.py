"""The settings of a training set, and how each of its subjects is scanned."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from spokestream.errors import InputError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, IMAGES
from spokestream.gadgets.imaging.sliding_window import check_basis_of_window, stride_setting, window_setting
from spokestream.settings import check_settings, setting
from spokestream.simulator.acquisition.slice_profile import PROFILES
from spokestream.simulator.phantoms import ANATOMIES, POPULATIONS
from spokestream.simulator.phantoms.changes import CHANGES, UNCHANGED
from spokestream.simulator.simulation_settings import SimulationSettings

__all__ = ["DataSettings"]

DRAW, DRAW_OF_CHANGE = 7, 12
"""Identify the random numbers of this module; those of the phantom and of the scan have other identifiers."""


@dataclass(frozen=True)
class DataSettings:
    """A population and how it is scanned; where a setting has two numbers, each subject draws from that range.

    Raises InputError, in one sentence, for what cannot be.
    """

    subjects: int = setting(100, meaning="Number of subjects.", low=1, high=1_000_000)
    first_seed: int = setting(0, meaning="Number of the first subject; the others follow.", low=0, high=2**31)
    population: str = setting(
        "patients", meaning="Population from which the subjects are drawn.", choices=tuple(POPULATIONS)
    )
    anatomies: str = setting("thigh", meaning="One anatomy, or several with commas, of which each subject draws one.")
    slices: int = setting(5, meaning="Slices of each subject, 20 mm apart.", low=1, high=1000)
    matrix: int = setting(350, meaning="Image matrix along x and y.", unit="pixels", low=8, high=1024)
    coils: tuple[int, int] = setting((8, 24), meaning="Fewest and most receive coils.", low=1, high=256)
    virtual_coils: int = setting(
        8, meaning="Virtual coils to which the array is compressed, as in the pipeline.", low=1, high=64
    )
    noise: tuple[float, float] = setting(
        (0.05, 0.2),
        meaning="Least and most noise of one frame over its mean signal, per real and imaginary part.",
        low=0,
        high=1e6,
    )
    delays: float = setting(
        0.3, meaning="Largest delay or advance of the x and of the y gradient.", unit="samples", low=0, high=1
    )
    inversion_efficiency: tuple[float, float] = setting(
        (0.9, 1.0), meaning="Least and most efficiency of the 180 degree pulse.", low=-1, high=1
    )
    slice_profile: str = setting("rectangular", meaning="Shape of the flip angle across the slice.", choices=PROFILES)
    relaxation: float = setting(
        1.0,
        meaning="Largest factor by which T1 and T2 of each tissue of a subject are multiplied or divided; 1 is none.",
        low=1,
        high=4,
    )
    change: str = setting(
        UNCHANGED,
        meaning=f"Change of tissue or fields ({', '.join(CHANGES)}), or several with commas, of which each subject "
        "draws one.",
    )
    sequence: str = setting("t1ff-2d-1400", meaning="Sequence preset, or a TOML or Pulseq file.")
    demodulation_hz: float = setting(
        200.0,
        meaning="Receiver frequency during the readout below that of water, as in the pipeline.",
        unit="Hz",
        low=-600,
        high=600,
    )
    path: str = setting(
        "fast",
        meaning="Whether images are simulated by point spread functions (fast) or through k-space (full).",
        choices=("fast", "full"),
    )
    basis: str = setting(
        "compressed",
        meaning="Temporal images, as in the pipeline: weighted sums, or means of a sliding window.",
        choices=("compressed", "window"),
    )
    images: str = setting(
        ADJOINT,
        meaning="Images of the adjoint, or of an iterative inversion, as in the pipeline.",
        choices=IMAGES,
    )
    delay_correction: str = setting(
        "off",
        meaning="Whether gradient delays are found and corrected, as in the pipeline.",
        choices=("auto", "off"),
    )
    window: int = window_setting()
    stride: int = stride_setting()

    def __post_init__(self) -> None:
        check_settings(self)
        for name in (f.name for f in fields(self) if isinstance(f.default, tuple)):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"The setting {name} is a range from low to high, not {low:g},{high:g}.")
        if self.path == "fast" and "nist" in self.anatomies.split(","):
            raise InputError("The fast path knows the tissue of people; the system phantom takes --path full.")
        if self.path == "fast" and self.delay_correction != "off":
            raise InputError("The fast path has no spokes whose delays could be corrected; take --path full.")
        if self.images != ADJOINT and self.basis == "window":
            raise InputError("Iterative images need the compressed basis, not sliding windows.")
        if self.path == "fast" and self.basis == "window":
            raise InputError("The fast path takes the compressed basis; images of sliding windows take --path full.")
        check_basis_of_window(self.basis, {f.name for f in fields(self) if getattr(self, f.name) != f.default})
        for anatomy in self.anatomies.split(","):
            if anatomy not in ANATOMIES:
                raise InputError(f"There is no anatomy '{anatomy}'; there are {', '.join(ANATOMIES)}.")
        for change in self.change.split(","):
            if change not in CHANGES:
                raise InputError(f"There is no change '{change}'; there are {', '.join(CHANGES)}.")

    @property
    def seeds(self) -> range:
        """The numbers of the subjects."""
        return range(self.first_seed, self.first_seed + self.subjects)

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings that all subjects have in common: all but the number of subjects and of the first of them.

        A change, iterative images, a correction of delays and a sliding window are among them only where there is one,
        so that sets made without keep their recipe. Of a sequence file there is the name: the set holds its content.
        """
        later = {"change": UNCHANGED, "images": ADJOINT, "delay_correction": "off"}
        others = {"subjects", "first_seed"} | {name for name, usual in later.items() if getattr(self, name) == usual}
        if self.basis != "window":
            others |= {"basis", "window", "stride"}
        values = {name: value for name, value in asdict(self).items() if name not in others}
        return values | {"sequence": Path(self.sequence).name}

    def change_of(self, seed: int) -> str:
        """The change of subject number `seed`, which depends only on that number and on the recipe."""
        changes = self.change.split(",")
        return changes[int(np.random.default_rng((seed, DRAW_OF_CHANGE)).integers(len(changes)))]

    def exam(self, seed: int) -> SimulationSettings:
        """How subject number `seed` is scanned, which depends only on that number and on the recipe."""
        rng = np.random.default_rng((seed, DRAW))
        anatomies = self.anatomies.split(",")
        fewest, most = self.coils
        return SimulationSettings(
            anatomy=anatomies[int(rng.integers(len(anatomies)))],
            population=self.population,
            seed=seed,
            matrix=self.matrix,
            slices=self.slices,
            coils=int(rng.integers(fewest, most + 1)),
            noise=float(rng.uniform(*self.noise)),
            sequence=self.sequence,
            slice_profile=self.slice_profile,
            inversion_efficiency=float(rng.uniform(*self.inversion_efficiency)),
            delays=(float(rng.uniform(-self.delays, self.delays)), float(rng.uniform(-self.delays, self.delays))),
        )
