"""The measures of a reconstructor on a set of subjects, and the voxels over which they are computed.

Voxels and measures are those of Balsiger et al. 2020 (doi 10.1016/j.media.2020.101741). In addition, there are errors
against the truth, which only simulated subjects have.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Float, Mask
from spokestream.models.evaluation.calibration import Calibration
from spokestream.models.evaluation.metrics import Moments, blurriness, nrmse, psnr, region_means, ssim
from spokestream.models.evaluation.texture import TEXTURED, KeptTexture
from spokestream.simulator.physics.quantities import QUANTITIES, masked
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = [
    "BLUR_THRESHOLDS", "LARGE_ERROR", "Maps", "Score", "Stratum", "Verdict", "ranked_over", "strata_of", "thirds",
]  # fmt: skip

BLUR_THRESHOLDS = np.arange(0.55, 0.96, 0.05)

LARGE_ERROR = {"t1h2o": 150.0, "t1": 150.0, "deltaf": 10.0, "b1": 0.04}
"""Map -> error, in its unit, that the physics check should flag: about ten percent of the T1 of muscle, one step of the
grid of matching in off-resonance, and nearly one in B1."""

Maps = dict[str, Float]


@dataclass(frozen=True)
class Stratum:
    """The voxels for which the pool fraction of the reference is in low <= fraction < high."""

    name: str
    low: float = -np.inf
    high: float = np.inf

    def of(self, tissue: Mask, fraction: Float) -> Mask:
        """The mask of the voxels of tissue that belong to the stratum."""
        return np.asarray(tissue & (fraction >= self.low) & (fraction < self.high))


EVERYWHERE = "all"


def strata_of(model: TissueModel) -> tuple[Stratum, ...]:
    """The ranges of the pool fraction for which a tissue model reports errors separately; none for one pool."""
    symbol = QUANTITIES[model.fraction].symbol if model.fraction else ""
    return tuple(
        Stratum(f"{symbol} < {high:g}" if low == -np.inf else f"{symbol} {low:g} to {high:g}", low, high)
        for low, high in model.strata
    )


def thirds(model: TissueModel, fraction: Float) -> tuple[Stratum, ...]:
    """Three ranges that contain equally many of (n,) pool fractions, up to the upper end of the model's last stratum.

    There are none for models of one pool.
    """
    if not model.strata:
        return ()
    most = model.strata[-1][1]
    low, high = (float(q) for q in np.quantile(fraction[fraction < most], (1 / 3, 2 / 3)))
    return Stratum("lowest third", high=low), Stratum("middle third", low, high), Stratum("highest third", high, most)


def ranked_over(parameter: Parameter) -> str:
    """A description of the voxels whose errors rank the reconstructors: those where the parameter has a meaning."""
    return str(parameter.quantity.where or EVERYWHERE)


@dataclass
class Score:
    """The measures of maps against a reference, as in the paper."""

    model: TissueModel
    by_subject: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Metric -> map -> one value per subject."""
    regions: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    """Map -> means (2, regions) of prediction and reference, one array per slice."""

    def add(self, maps: Maps, reference: Maps, tissue: Mask, labels: NDArray[np.uint8], wanted: list[int]) -> None:
        """Add all slices of a subject, (slices, y, x) each; `wanted` are the labels of the regions."""
        for parameter, prediction, target in _pairs(self.model, maps, reference):
            name = parameter.name
            judged = masked(parameter.compared, tissue, reference)
            # for the structural similarity, prediction and reference are 0 in all other voxels
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
    """The results of one reconstructor on one set of subjects."""

    model: TissueModel
    """The tissue model whose parameters are scored."""
    seconds: list[float] = field(default_factory=list)
    """Time from fingerprints to maps, for every slice."""
    flagged: int = 0
    """Number of voxels whose maps do not explain the signal; see `spokestream.gadgets.physics_check`."""
    foreground: int = 0
    """Number of voxels that were checked."""
    scores: dict[str, Score] = field(default_factory=dict)
    """Scores by reference: `truth` and, if it was run, `matching`."""
    errors: dict[str, dict[str, Moments]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Moments)))
    """Errors against the truth: map -> stratum -> moments. The stratum `ranked` is where the map has a meaning."""
    blur: dict[str, list[NDArray[np.float64]]] = field(default_factory=lambda: defaultdict(list))
    """Map -> blurriness over `BLUR_THRESHOLDS`, one curve per slice."""
    calibration: dict[str, Calibration] = field(default_factory=dict)
    """Calibration of every map that has a standard deviation."""
    texture: dict[str, KeptTexture] = field(default_factory=dict)
    """Kept texture of the maps of `TEXTURED`."""
    large: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Map -> number of voxels whose error is larger than `LARGE_ERROR`, and number of those that were flagged."""
    example: Maps = field(default_factory=dict)
    """Maps (y, x) of the slice that the report shows."""

    def against(self, reference: str) -> Score:
        """The scores against a reference, empty at first."""
        return self.scores.setdefault(reference, Score(self.model))

    def add_errors(self, maps: Maps, truth: Maps, tissue: Mask, strata: tuple[Stratum, ...]) -> None:
        """Add the voxels of a subject; all arrays have the same shape."""
        for parameter, prediction, target in _pairs(self.model, maps, truth):
            name, error = parameter.name, prediction - target
            present = masked(self.model.presence(parameter.pool), tissue, truth)
            ranked = masked(parameter.quantity.where, present, truth)
            self.errors[name]["ranked"] += Moments.of(error[ranked])
            for stratum in strata if _is_stratified(parameter, self.model) else ():
                self.errors[name][stratum.name] += Moments.of(error[stratum.of(tissue, truth[self.model.fraction])])
            if (std := maps.get(f"{name}_std")) is not None:
                quantity = parameter.quantity
                assert quantity.high is not None
                calibration = self.calibration.setdefault(name, Calibration(quantity.high - quantity.low))
                calibration.add(error[ranked], std[ranked])

    def add_errors_of_tissues(self, maps: Maps, truth: Maps, of_tissue: dict[str, Mask]) -> None:
        """Add the voxels of a subject, separately for each tissue by name; all arrays have the same shape.

        A tissue in which the parameters have no meaning gets no moments.
        """
        for parameter, prediction, target in _pairs(self.model, maps, truth):
            for tissue, mask in of_tissue.items():
                judged = masked(self.model.presence(parameter.pool), mask, truth)
                if judged.any():
                    self.errors[parameter.name][tissue] += Moments.of((prediction - target)[judged])

    def add_blur(self, maps: Maps, tissue: Mask) -> None:
        """Add all slices of a subject, (slices, y, x) each."""
        for name in (name for name in self.model.names if name in maps):
            for values, mask in zip(maps[name], tissue, strict=True):
                if np.any(values[mask]):
                    self.blur[name].append(blurriness(np.where(mask, values, 0), BLUR_THRESHOLDS))

    def add_texture(self, maps: Maps, truth: Maps, tissue: Mask, muscle: Mask) -> None:
        """Add all slices of a subject, (slices, y, x) each; `muscle` is a part of the tissue."""
        for name, (where, in_muscle, usual) in TEXTURED.items():
            if name in maps and where.quantity in truth:
                judged = masked(where, muscle if in_muscle else tissue, truth)
                for values, target, mask in zip(maps[name], truth[name], judged, strict=True):
                    self.texture.setdefault(name, KeptTexture(usual)).add(values, target, mask)

    def add_caught(self, maps: Maps, truth: Maps, tissue: Mask, flagged: Mask) -> None:
        """Add the voxels of a subject of which a map has a meaning; all arrays have the same shape."""
        for parameter, prediction, target in _pairs(self.model, maps, truth):
            if (least := LARGE_ERROR.get(parameter.name)) is None:
                continue
            present = masked(self.model.presence(parameter.pool), tissue, truth)
            large = masked(parameter.quantity.where, present, truth) & (np.abs(prediction - target) > least)
            counts = np.array([large.sum(), (large & flagged).sum()], np.int64)
            self.large[parameter.name] = self.large.get(parameter.name, np.zeros(2, np.int64)) + counts


def _is_stratified(parameter: Parameter, model: TissueModel) -> bool:
    """Whether the parameter has a meaning in the strata, which begin where the fraction of the second pool is small."""
    where = parameter.quantity.where
    return where is None or where.quantity != model.fraction or not np.isfinite(where.above)


def _pairs(model: TissueModel, maps: Maps, reference: Maps) -> Iterator[tuple[Parameter, Float, Float]]:
    return ((p, maps[p.name], reference[p.name]) for p in model.parameters if p.name in maps)
