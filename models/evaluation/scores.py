"""What is measured of a reconstructor on a set of subjects, and over which voxels.

Voxels and measures are those of Balsiger et al. 2020 (doi 10.1016/j.media.2020.101741); errors against the
truth are known in simulations only.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Float, Mask
from spokestream.models.evaluation.calibration import Calibration
from spokestream.models.evaluation.metrics import Moments, blurriness, nrmse, psnr, region_means, ssim
from spokestream.simulator.physics.quantities import QUANTITIES, Where
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = [
    "BLUR_THRESHOLDS", "Maps", "Score", "Stratum", "Verdict", "masked", "ranked_over", "strata_of", "thirds",
]  # fmt: skip

BLUR_THRESHOLDS = np.arange(0.55, 0.96, 0.05)

Maps = dict[str, Float]


@dataclass(frozen=True)
class Stratum:
    """Voxels whose pool fraction, of the reference, lies within low <= fraction < high."""

    name: str
    low: float = -np.inf
    high: float = np.inf

    def of(self, tissue: Mask, fraction: Float) -> Mask:
        """The voxels of the tissue that belong to the stratum."""
        return np.asarray(tissue & (fraction >= self.low) & (fraction < self.high))


EVERYWHERE = "all"


def strata_of(model: TissueModel) -> tuple[Stratum, ...]:
    """The ranges of the pool fraction by which a tissue model separates errors; none for models of one pool."""
    symbol = QUANTITIES[model.fraction].symbol if model.fraction else ""
    return tuple(
        Stratum(f"{symbol} < {high:g}" if low == -np.inf else f"{symbol} {low:g} to {high:g}", low, high)
        for low, high in model.strata
    )


def thirds(model: TissueModel, fraction: Float) -> tuple[Stratum, ...]:
    """Ranges with equally many of (n,) pool fractions below the last of the model's strata; none for one pool."""
    if not model.strata:
        return ()
    most = model.strata[-1][1]
    low, high = (float(q) for q in np.quantile(fraction[fraction < most], (1 / 3, 2 / 3)))
    return Stratum("lowest third", high=low), Stratum("middle third", low, high), Stratum("highest third", high, most)


def ranked_over(parameter: Parameter) -> str:
    """The voxels by whose errors of a parameter reconstructors are ranked, in words: where it means something."""
    return str(parameter.quantity.where or EVERYWHERE)


def masked(where: Where | None, mask: Mask, maps: Maps) -> Mask:
    """The voxels of a mask that follow a rule; all of them without one."""
    return mask if where is None else np.asarray(mask & where.mask(maps))


@dataclass
class Score:
    """Maps against a reference, as the paper scored them."""

    model: TissueModel
    by_subject: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Metric -> map -> value of every subject."""
    regions: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    """Map -> (2, regions) means of prediction and reference, slice by slice."""

    def add(self, maps: Maps, reference: Maps, tissue: Mask, labels: NDArray[np.uint8], wanted: list[int]) -> None:
        """Take all slices of a subject, (slices, y, x) each; `wanted` are the labels of regions."""
        for parameter, prediction, target in _pairs(self.model, maps, reference):
            name = parameter.name
            judged = masked(parameter.compared, tissue, reference)
            # elsewhere both sides are background to the structural similarity
            shown = masked(self.model.presence(parameter.pool), tissue, reference)
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

    model: TissueModel
    """The tissue model whose parameters are scored."""
    seconds: list[float] = field(default_factory=list)
    """Time of every slice, from fingerprints to maps."""
    flagged: int = 0
    """Voxels whose maps do not explain the signal, see `spokestream.gadgets.physics_check`."""
    foreground: int = 0
    """Voxels that were checked."""
    scores: dict[str, Score] = field(default_factory=dict)
    """Scores by reference: `truth` and, if it was run, `matching`."""
    errors: dict[str, dict[str, Moments]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Moments)))
    """Against truth: map -> stratum -> voxels. The stratum `ranked` is where the map means something."""
    blur: dict[str, list[NDArray[np.float64]]] = field(default_factory=lambda: defaultdict(list))
    """Map -> curve over `BLUR_THRESHOLDS` of every slice."""
    calibration: dict[str, Calibration] = field(default_factory=dict)
    """Calibration of every map that comes with a standard deviation."""
    example: Maps = field(default_factory=dict)
    """(y, x) maps of the slice that is shown."""

    def against(self, reference: str) -> Score:
        """The scores against a reference, empty at first."""
        return self.scores.setdefault(reference, Score(self.model))

    def add_errors(self, maps: Maps, truth: Maps, tissue: Mask, strata: tuple[Stratum, ...]) -> None:
        """Take the voxels of a subject, arrays of any one shape."""
        for parameter, prediction, target in _pairs(self.model, maps, truth):
            name, error = parameter.name, prediction - target
            ranked = masked(parameter.quantity.where, tissue, truth)
            self.errors[name]["ranked"] += Moments.of(error[ranked])
            for stratum in strata if _is_stratified(parameter, self.model) else ():
                self.errors[name][stratum.name] += Moments.of(error[stratum.of(tissue, truth[self.model.fraction])])
            if (deviation := maps.get(f"{name}_std")) is not None:
                quantity = parameter.quantity
                assert quantity.high is not None
                calibration = self.calibration.setdefault(name, Calibration(quantity.high - quantity.low))
                calibration.add(error[ranked], deviation[ranked])

    def add_blur(self, maps: Maps, tissue: Mask) -> None:
        """Take all slices of a subject, (slices, y, x) each."""
        for name in (name for name in self.model.names if name in maps):
            for values, mask in zip(maps[name], tissue, strict=True):
                if np.any(values[mask]):
                    self.blur[name].append(blurriness(np.where(mask, values, 0), BLUR_THRESHOLDS))


def _is_stratified(parameter: Parameter, model: TissueModel) -> bool:
    """Whether the parameter means something in the strata, which begin where the second pool is small."""
    where = parameter.quantity.where
    return where is None or where.quantity != model.fraction or not np.isfinite(where.above)


def _pairs(model: TissueModel, maps: Maps, reference: Maps) -> Iterator[tuple[Parameter, Float, Float]]:
    return ((p, maps[p.name], reference[p.name]) for p in model.parameters if p.name in maps)
