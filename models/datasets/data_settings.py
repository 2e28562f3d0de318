"""What a training set is made of, with unit, meaning and limits of every setting; and what each subject gets of it."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from spokestream.settings import check_settings, setting
from spokestream.simulator.acquisition.slice_profile import PROFILES
from spokestream.simulator.phantoms import ANATOMIES, POPULATIONS
from spokestream.simulator.simulation_settings import SimulationSettings

__all__ = ["DataSettings"]

DRAW = 7
"""Purpose of the random numbers here, which tells them from those of the phantom and of the scan."""


@dataclass(frozen=True)
class DataSettings:
    """A population and how it is scanned; two numbers are a range that every subject draws from.

    Raises ValueError, in one sentence, for what cannot be.
    """

    subjects: int = setting(100, "", "How many.", 1, 1_000_000)
    first_seed: int = setting(0, "", "Number of the first subject; the others follow.", 0, 2**31)
    population: str = setting("patients", "", "Whom the subjects are drawn from.", choices=tuple(POPULATIONS))
    anatomies: str = setting("thigh", "", "One, or several with commas, of which each subject gets one.")
    slices: int = setting(5, "", "Slices of a subject, 20 mm apart.", 1, 1000)
    matrix: int = setting(350, "pixels", "Image matrix along x and y.", 8, 1024)
    coils: tuple[float, float] = setting((8, 24), "", "Receive coils.", 1, 256)
    virtual_coils: int = setting(8, "", "To which they are compressed, as the pipeline does.", 1, 64)
    noise: tuple[float, float] = setting(
        (0.05, 0.2), "", "Noise of one frame over its mean signal, per real and imaginary part.", 0, 1e6
    )
    delays: float = setting(0.3, "samples", "Largest delay, either way, of the x and of the y gradient.", 0, 1)
    inversion_efficiency: tuple[float, float] = setting((0.9, 1.0), "", "Of the 180 degree pulse.", -1, 1)
    slice_profile: str = setting("rectangular", "", "Flip angle over the slice's thickness.", choices=PROFILES)
    sequence: str = setting("t1ff-2d-1400", "", "Ideally spoiled preset, or a TOML or Pulseq file.")
    demodulation_hz: float = setting(
        200.0, "Hz", "Receiver frequency during the readout below water's, as the pipeline's.", -600, 600
    )
    path: str = setting(
        "fast", "", "Through point spread functions, or all the way through k-space.", choices=("fast", "full")
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name in (f.name for f in fields(self) if isinstance(f.default, tuple)):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"The setting {name} is a range from low to high, not {low:g},{high:g}.")
        if self.path == "fast" and "nist" in self.anatomies.split(","):
            raise ValueError("The fast path knows the tissue of people; the system phantom takes --path full.")
        for anatomy in self.anatomies.split(","):
            if anatomy not in ANATOMIES:
                raise ValueError(f"There is no anatomy '{anatomy}'; there are {', '.join(ANATOMIES)}.")

    @property
    def seeds(self) -> range:
        """Of the subjects."""
        return range(self.first_seed, self.first_seed + self.subjects)

    @property
    def recipe(self) -> dict[str, Any]:
        """All that the subjects have in common: everything but which and how many they are."""
        return {name: value for name, value in asdict(self).items() if name not in ("subjects", "first_seed")}

    def exam(self, seed: int) -> SimulationSettings:
        """How subject number `seed` is scanned; nothing but its own number decides."""
        rng = np.random.default_rng((seed, DRAW))
        anatomies = self.anatomies.split(",")
        fewest, most = (int(n) for n in self.coils)
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
