"""The sizes of the study of Fang 2019, and the networks that it trains."""

from dataclasses import dataclass

__all__ = ["ALL_POINTS", "FEATURES", "MAPS", "PAPER_FEATURES", "Run", "Sizes", "runs"]

MAPS = ("t1", "t2")
ALL_POINTS = 1
"""The acceleration at which all time points are matched."""
FEATURES = 46
"""Number of features where it is not the subject of the comparison: the paper's best for T2."""
PAPER_FEATURES = {90.0: 8, 95.0: 10, 99.0: 22, 99.9: 46, 99.99: 76, 99.999: 124, 99.9999: 170}
"""Energy of the paper's dictionary in % that so many singular vectors keep (its Fig. 6)."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of the study."""

    points: int
    """Time points of the whole scan."""
    accelerations: tuple[int, ...]
    """The scan is shortened by these factors."""
    frame: int
    """Time points that make a frame of the shortened scans."""
    compared: int
    """The acceleration of tables I to IV and of Fig. 6."""
    energies: tuple[float, ...]
    """The energies of `PAPER_FEATURES` that are compared."""
    matrix: int
    coils: int
    subjects: int
    slices: int
    folds: int
    """How many subjects are left out in turn."""
    epochs: int
    """Epochs of all networks; batches are patches of a slice."""
    first_epochs: int
    """Epochs in which the features are trained alone."""
    patch: int
    per_slice: int
    batch: int
    voxels: int
    """Voxels of a slice and an epoch for the network that sees single voxels."""


@dataclass(frozen=True)
class Run:
    """A network of one variant for one map, or for both."""

    method: str
    """Its name in tables."""
    acceleration: int
    maps: tuple[str, ...]
    network: str = "fang2019"
    variant: str = "paper"
    features: int | None = None
    """Number of features."""
    energy: float | None = None
    """Energy in % that the singular vectors keep which are the features."""

    @property
    def name(self) -> str:
        """Letters, digits and hyphens."""
        kept = "" if self.energy is None else f"-{self.energy:g}".replace(".", "p")
        number = "" if self.features is None else f"-{self.features}"
        return f"{self.method.lower()}{number}{kept}-{self.acceleration}-{''.join(self.maps)}"


def runs(sizes: Sizes) -> list[Run]:
    """All networks, those of Table I first."""
    at = sizes.compared
    found = [Run("DL", at, MAPS, network="hoppe2017")]
    found += [Run("SCQ", at, (name,), features=FEATURES) for name in MAPS]
    found += [Run("FE-only", at, (name,), variant="features", features=FEATURES) for name in MAPS]
    found += [Run("SQ-only", at, (name,), variant="unet") for name in MAPS]
    found += [Run("SCQ-M", at, (name,), variant="magnitude", features=FEATURES) for name in MAPS]
    others = [a for a in sizes.accelerations if a != at]
    found += [Run("SCQ", a, (name,), features=FEATURES) for a in others for name in MAPS]
    for energy in sizes.energies:
        found += [Run("SCQ-S", at, (name,), variant="vectors", energy=energy) for name in MAPS]
        n = PAPER_FEATURES[energy]
        found += [Run("SCQ", at, (name,), features=n) for name in MAPS if n != FEATURES]
    return found
