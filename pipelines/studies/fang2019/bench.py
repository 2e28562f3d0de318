"""What the steps of the study measure: the errors of matching, and those of a network that they train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.matching.matchers import make_matcher
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.evaluation.metrics import blurriness
from spokestream.models.training.loop import train
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.pipelines.studies.fang2019.csmr import by_restoration
from spokestream.pipelines.studies.fang2019.scans import Scans, vectors_for
from spokestream.pipelines.studies.fang2019.sizes import ALL_POINTS, MAPS, Run, Sizes
from spokestream.pipelines.studies.left_out import Maps, by_matching, by_network, stacked
from spokestream.pipelines.studies.study import Numbers
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.whole_files import whole_file

__all__ = ["FLUID_T1_MS", "MATCHERS", "Bench", "detail", "relative_error"]

MATCHERS = {"DM": "inner-product", "SDM": "svd"}
"""Method of the paper -> the matcher that it is here."""
FINE = 0.5
"""Spatial frequency, over the highest one along an axis, above which the energy of a map is its fine detail."""
FLUID_T1_MS = 2500.0
"""Voxels with a longer T1 are fluid, whose errors are separate."""


class Bench:
    """The folder of a run, and what its steps share."""

    def __init__(self, sizes: Sizes, seed: int, threads: int, folder: Path) -> None:
        self.sizes, self.seed, self.threads, self.folder = sizes, seed, threads, folder
        self.scans = Scans(folder, sizes, seed)

    def scan(self, acceleration: int) -> Numbers:
        """Make the scans: of all subjects, or of those that are left out where all points are matched."""
        wanted = self.scans.left_out if acceleration == ALL_POINTS else list(self.scans.subjects)
        data = self.scans.make(acceleration, wanted)
        return {"points": len(data.sequence), "images": len(data.basis.te_ms), "slices": len(data)}

    def matching(self, acceleration: int) -> Numbers:
        """The errors of the matchers. The maps of all points are kept, because later errors are relative to them."""
        methods = ["DM"] if acceleration == ALL_POINTS else [*MATCHERS]
        found: dict[str, list[list[Maps]]] = {method: [] for method in methods}
        seconds: dict[str, list[float]] = {method: [] for method in methods}
        for subject in self.scans.left_out:
            data = self.scans.test(acceleration, subject)
            dictionary = RELAXATION.dictionary(data.sequence)
            for method in methods:
                matcher = make_matcher(MATCHERS[method], dictionary, data.basis)
                slices, of_slices = by_matching(matcher, data, self.threads)
                seconds[method] += of_slices
                found[method].append(slices)
            if acceleration == ALL_POINTS:
                with whole_file(self._reference(subject)) as draft, draft.open("wb") as file:
                    np.save(file, np.stack([*stacked(found["DM"][-1]).values()]))
        return {
            method: {"seconds": float(np.median(seconds[method]))} | self._errors(acceleration, found[method], MAPS)
            for method in methods
        }

    def restoration(self, acceleration: int) -> Numbers:
        """The errors of CSMR, which starts from k-space."""
        found, seconds = [], []
        for subject in self.scans.left_out:
            data = self.scans.test(acceleration, subject)
            masks = [data[index]["foreground"].numpy() for index in range(len(data))]
            exam = self.scans.exam(acceleration, subject)
            slices, of_slices = by_restoration(exam, RELAXATION.dictionary(data.sequence), masks, self.threads)
            seconds += of_slices
            found.append(slices)
        return {"seconds": float(np.median(seconds))} | self._errors(acceleration, found, MAPS)

    def network(self, run: Run, fold: int) -> Numbers:
        """Train a network without the subject of a fold, and the errors in that subject."""
        subject = self.scans.left_out[fold]
        settings = self._settings(run)
        folder = self.folder / "networks" / f"{run.name}-{fold}"
        best = train(folder, self.scans.training(run.acceleration, subject), settings)
        assert best is not None
        data = self.scans.test(run.acceleration, subject)
        slices, seconds = by_network(folder, settings, data)
        errors = self._errors(run.acceleration, [slices], run.maps, [subject])
        trained = {"features": settings.features, "epoch": best.epoch, "training_seconds": round(best.seconds, 1)}
        return trained | {"seconds": float(np.median(seconds))} | errors

    def _settings(self, run: Run) -> TrainingSettings:
        sizes, features = self.sizes, run.features
        if run.energy is not None:
            data = self.scans.test(run.acceleration, self.scans.left_out[0])
            features = vectors_for(RELAXATION.dictionary(data.sequence), data.basis, run.energy)
        single = run.network != "fang2019"
        two_steps = not single and run.variant in ("paper", "magnitude")
        return TrainingSettings(
            network=run.network, maps=",".join(run.maps), seed=self.seed, validation=1, variant=run.variant,
            features=features, epochs=sizes.epochs, first_epochs=sizes.first_epochs if two_steps else None,
            decay="cosine", patch=1 if single else sizes.patch, per_slice=sizes.voxels if single else sizes.per_slice,
            batch=sizes.voxels * sizes.batch // sizes.per_slice if single else sizes.batch,
        )  # fmt: skip

    def _errors(
        self, acceleration: int, found: Sequence[Sequence[Maps]], names: Sequence[str], subjects: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Map -> relative errors in %, and fine detail relative to the truth; means over subjects."""
        whose = subjects or self.scans.left_out
        by_subject = [
            self._of_subject(self.scans.test(acceleration, subject), slices, names, self._reference(subject))
            for subject, slices in zip(whose, found, strict=True)
        ]
        return {
            name: {key: float(np.mean([errors[name][key] for errors in by_subject])) for key in by_subject[0][name]}
            for name in names
        }

    def _of_subject(
        self, data: TrainingSet, slices: Sequence[Maps], names: Sequence[str], reference: Path
    ) -> dict[str, dict[str, float]]:
        items = [data[index] for index in range(len(data))]
        true = {name: np.stack([item[name].numpy() for item in items]) for name in MAPS}
        pure = np.stack([tissue(item).numpy() for item in items]) & (true["t1"] > 0)
        where, fluid = pure & (true["t1"] < FLUID_T1_MS), pure & (true["t1"] >= FLUID_T1_MS)
        matched = dict(zip(MAPS, np.load(reference), strict=True))
        known = where & (matched["t1"] > 0)
        maps = stacked(slices)
        return {
            name: {
                "truth": relative_error(maps[name], true[name], where),
                "fluid": relative_error(maps[name], true[name], fluid),
                "matched": relative_error(maps[name], matched[name], known),
                "detail": float(np.mean([detail(*of) for of in zip(maps[name], true[name], where, strict=True)])),
            }
            for name in names
        }

    def _reference(self, subject: int) -> Path:
        return self.folder / f"matched-{subject}.npy"


def relative_error(found: NDArray[Any], true: NDArray[Any], where: NDArray[np.bool_]) -> float:
    """The mean relative error in % over a mask; 0 where the mask is empty."""
    if not where.any():
        return 0.0
    values = true[where].astype(float)
    return float(100 * np.mean(np.abs(found[where] - values) / values))


def detail(found: NDArray[Any], true: NDArray[Any], where: NDArray[np.bool_]) -> float:
    """The energy of a map at high spatial frequencies over that of the truth; 1 in an empty slice."""
    if not where.any():
        return 1.0
    fine = [float(blurriness(np.where(where, image, 0), FINE)[0]) * _energy(image, where) for image in (found, true)]
    return fine[0] / fine[1]


def _energy(image: NDArray[Any], where: NDArray[np.bool_]) -> float:
    return float(np.square(image[where].astype(float)).sum())
