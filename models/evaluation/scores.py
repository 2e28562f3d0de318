"""What is measured of a reconstructor on a set of subjects, and over which voxels.

Voxels and measures are those of Balsiger et al. 2020 (doi 10.1016/j.media.2020.101741), and the errors that only a
simulated truth can tell.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Float, Mask
from spokestream.models.evaluation.calibration import Calibration
from spokestream.models.evaluation.metrics import Moments, blurriness, nrmse, psnr, region_means, ssim
from spokestream.simulator.physics.quantities import MAP_KINDS
from spokestream.simulator.physics.tissue_models.water_fat import PARAMETERS

__all__ = ["BLUR_THRESHOLDS", "RANKED", "STRATA", "Maps", "Score", "Stratum", "Verdict", "thirds"]

BLUR_THRESHOLDS = np.arange(0.55, 0.96, 0.05)

Maps = dict[str, Float]


@dataclass(frozen=True)
class Stratum:
    """Voxels whose fat fraction, of the reference, lies within low <= FF < high."""

    name: str
    low: float = -np.inf
    high: float = np.inf

    def of(self, tissue: Mask, ff: Float) -> Mask:
        """These among the tissue's."""
        return np.asarray(tissue & (ff >= self.low) & (ff < self.high))


ALL = Stratum("all")
JUDGED = {"t1h2o": Stratum("FF < 0.7", high=0.7), "t1fat": Stratum("FF > 0.05", low=0.05)}
"""Where a T1 is compared at all: the paper's mask of water T1, and where a voxel has fat to speak of."""
SHOWN = {"t1h2o": Stratum("FF < 0.95", high=0.95), "t1fat": Stratum("FF > 0.05", low=0.05)}
"""Where a map of T1 shows one; elsewhere both sides are background to the structural similarity."""
RANKED = {**dict.fromkeys(PARAMETERS, ALL), "t1h2o": JUDGED["t1h2o"], "t1fat": Stratum("FF > 0.3", low=0.3)}
"""By map, the voxels by whose errors reconstructors are ranked."""
STRATA = (Stratum("FF < 0.3", high=0.3), Stratum("FF 0.3 to 0.5", 0.3, 0.5), Stratum("FF 0.5 to 0.7", 0.5, 0.7))


def thirds(ff: Float) -> tuple[Stratum, Stratum, Stratum]:
    """Those of (n,) fat fractions whose water T1 is judged, as many in each."""
    most = JUDGED["t1h2o"].high
    low, high = (float(q) for q in np.quantile(ff[ff < most], (1 / 3, 2 / 3)))
    return Stratum("lowest third", high=low), Stratum("middle third", low, high), Stratum("highest third", high, most)


@dataclass
class Score:
    """Maps against a reference, as the paper scored them."""

    by_subject: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Metric -> map -> value of every subject."""
    regions: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    """Map -> (2, regions) means of prediction and reference, slice by slice."""

    def add(self, maps: Maps, reference: Maps, tissue: Mask, labels: NDArray[np.uint8], wanted: list[int]) -> None:
        """Take all slices of a subject, (slices, y, x) each; `wanted` are the labels of regions."""
        for name, prediction, target in _pairs(maps, reference):
            judged = JUDGED.get(name, ALL).of(tissue, reference["ff"])
            shown = SHOWN.get(name, ALL).of(tissue, reference["ff"])
            values = {
                "nrmse": nrmse(prediction, target, judged),
                "psnr": psnr(prediction, target, judged),
                "ssim": ssim(np.where(shown, prediction, 0), np.where(shown, target, 0)),
            }
            for metric, value in values.items():
                self.by_subject.setdefault(metric, {}).setdefault(name, []).append(value)
            for level, mask in enumerate(judged):
                means = [region_means(side[level], labels[level], mask, wanted) for side in (prediction, target)]
                pairs = np.stack(means)
                self.regions.setdefault(name, []).append(pairs[:, np.isfinite(pairs).all(axis=0)])


@dataclass
class Verdict:
    """All that is known of one reconstructor on one set of subjects."""

    seconds: list[float] = field(default_factory=list)
    """Of every slice, from fingerprints to maps."""
    flagged: int = 0
    """Voxels whose maps do not explain the signal, see `spokestream.gadgets.physics_check`."""
    foreground: int = 0
    """Voxels that were checked."""
    scores: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))
    """By reference: `truth` and, if it was run, `matching`."""
    errors: dict[str, dict[str, Moments]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Moments)))
    """Against truth: map -> stratum -> voxels. The stratum `ranked` is that of `RANKED`."""
    blur: dict[str, list[NDArray[np.float64]]] = field(default_factory=lambda: defaultdict(list))
    """Map -> curve over `BLUR_THRESHOLDS` of every slice."""
    calibration: dict[str, Calibration] = field(default_factory=dict)
    """By map, of those with a standard deviation."""
    example: Maps = field(default_factory=dict)
    """(y, x) maps of the slice that is shown."""

    def add_errors(self, maps: Maps, truth: Maps, tissue: Mask, strata: tuple[Stratum, ...]) -> None:
        """Take voxels of a subject, arrays of any one shape."""
        for name, prediction, target in _pairs(maps, truth):
            error = prediction - target
            ranked = RANKED[name].of(tissue, truth["ff"])
            self.errors[name]["ranked"] += Moments.of(error[ranked])
            for stratum in strata if name != "t1fat" else ():
                self.errors[name][stratum.name] += Moments.of(error[stratum.of(tissue, truth["ff"])])
            if (deviation := maps.get(f"{name}_std")) is not None:
                kind = MAP_KINDS[name]
                assert kind.high is not None
                calibration = self.calibration.setdefault(name, Calibration(kind.high - kind.low))
                calibration.add(error[ranked], deviation[ranked])

    def add_blur(self, maps: Maps, tissue: Mask) -> None:
        """Take all slices of a subject, (slices, y, x) each."""
        for name in (name for name in PARAMETERS if name in maps):
            for values, mask in zip(maps[name], tissue, strict=True):
                if np.any(values[mask]):
                    self.blur[name].append(blurriness(np.where(mask, values, 0), BLUR_THRESHOLDS))


def _pairs(maps: Maps, reference: Maps) -> Iterator[tuple[str, Float, Float]]:
    return ((name, maps[name], reference[name]) for name in PARAMETERS if name in maps)
