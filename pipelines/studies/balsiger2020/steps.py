"""The steps of the study: sets of subjects, matching, trainings, and tests."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spokestream.dask_workers import within_a_task
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.matched import match_training_set
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.evaluation.evaluating import evaluate
from spokestream.models.evaluation.reconstructors import MATCHING, reconstructor
from spokestream.models.evaluation.results import results
from spokestream.models.training.exporting import export
from spokestream.models.training.loop import train
from spokestream.pipelines.studies.balsiger2020.frames import importance, parts_of_train
from spokestream.pipelines.studies.balsiger2020.sizes import PROPOSED, SEQUENCE, Sizes, trainings
from spokestream.pipelines.studies.study import Numbers, Step

__all__ = ["steps"]

TRAINING, TEST = "training", "test"
FIRST_OF_TEST, FIRST_UNSEEN = 100_000, 200_000
"""Numbers of the first subjects: nobody is both in the training and in a test."""


def steps(sizes: Sizes, seed: int, threads: int) -> Sequence[Step]:
    """The steps in their order; a training is a step of its own, and continues from its checkpoint."""
    run = partial(_Bench, sizes, seed, threads)
    trained = trainings(sizes, seed)
    by_matching = [_by_matching(network) for network in sizes.networks]
    return [
        Step("sets", lambda folder: run(folder).sets(), []),
        Step("matching", lambda folder: run(folder).matching(), ["sets"]),
        *(
            Step(name, partial(_training, run, name), ["matching" if settings.targets == "matching" else "sets"])
            for name, settings in trained.items()
        ),
        Step("test", lambda folder: run(folder).test(), [*trained]),
        Step("unseen", lambda folder: run(folder).unseen(), by_matching),
        Step("frames", lambda folder: run(folder).frames(), [_by_matching(PROPOSED)]),
    ]


def _by_matching(network: str) -> str:
    """The name of a network that was trained on the maps of matching."""
    return f"{network}-matching"


def _training(run: Any, name: str, folder: Path) -> Numbers:
    found: Numbers = run(folder).training(name)
    return found


class _Bench:
    """The folder of a run, and what its steps share."""

    def __init__(self, sizes: Sizes, seed: int, threads: int, folder: Path) -> None:
        self.sizes, self.seed, self.threads, self.folder = sizes, seed, threads, folder
        self.trainings = trainings(sizes, seed)

    def sets(self) -> Numbers:
        """Make the training set, the test set, and a set of every anatomy that no network is trained on."""
        sizes = self.sizes
        self._make(TRAINING, 0, sizes.subjects + sizes.validation, sizes.anatomies)
        self._make(TEST, FIRST_OF_TEST, sizes.tested, sizes.anatomies)
        for anatomy in sizes.unseen:
            self._make(anatomy, FIRST_UNSEEN, sizes.subjects_unseen, anatomy)
        return {name: len(TrainingSet(self.folder / name)) for name in (TRAINING, TEST, *sizes.unseen)}

    def matching(self) -> Numbers:
        """Match the subjects of training and test."""
        return {name: match_training_set(self.folder / name, self.threads) for name in (TRAINING, TEST)}

    def training(self, name: str) -> Numbers:
        """Train a network and write its archive."""
        run, data = self.folder / f"{name}-run", self.folder / TRAINING
        best = train(run, data, self.trainings[name])
        assert best is not None  # this is the first process
        export(run, data, self._archive(name), name)
        return {"epoch": best.epoch, "nrmse": best.nrmse}

    def test(self) -> Numbers:
        """All networks and matching on the subjects of the test."""
        return self._evaluated([TEST], [MATCHING, *self.trainings])[TEST]

    def unseen(self) -> Numbers:
        """The networks that were trained on matching, and matching, on anatomies that they have not seen."""
        return self._evaluated(self.sizes.unseen, [MATCHING, *map(_by_matching, self.sizes.networks)])

    def frames(self) -> Numbers:
        """The errors of the proposed network with one frame permuted."""
        data = TrainingSet(self.folder / TEST, matched=True)
        frames = list(range(0, data.sequence.n_frames, self.sizes.frame_step))
        found = importance(self._archive(_by_matching(PROPOSED)), data, frames, self.seed)
        return {"frames": frames, "parts": parts_of_train(data.sequence)} | found

    def _archive(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def _make(self, name: str, first: int, subjects: int, anatomies: str) -> None:
        sizes = self.sizes
        settings = DataSettings(
            subjects=subjects, first_seed=first + 1_000_000 * self.seed, anatomies=anatomies, slices=sizes.slices,
            matrix=sizes.matrix, coils=(sizes.coils, sizes.coils), virtual_coils=sizes.coils, delays=0.0,
            sequence=SEQUENCE,
        )  # fmt: skip
        alone = self.threads == 1 and not within_a_task()
        make_training_set(self.folder / name, settings, "synchronous" if alone else None)

    def _evaluated(self, sets: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Set -> reconstructor -> its scores against the truth and against matching."""
        wanted = [reconstructor(n if n == MATCHING else str(self._archive(n))) for n in names]
        found = results(evaluate([self.folder / name for name in sets], wanted, self.threads))["conditions"]
        return {
            name: {method: _scores(verdict) for method, verdict in found[name]["reconstructors"].items()}
            for name in sets
        }


def _scores(verdict: dict[str, Any]) -> dict[str, Any]:
    """The means over subjects, and R² of the means of regions; None where a set does not show a map."""
    scores: dict[str, Any] = {"seconds": verdict["seconds_per_slice"]}
    for reference in ("matching", "truth"):
        if found := verdict.get(f"against_{reference}"):
            scores[reference] = {
                metric: {name: value["mean"] for name, value in found[metric].items()}
                for metric in ("nrmse", "psnr", "ssim")
            } | {"r2": {name: value["r2"] if value else None for name, value in found["regions"].items()}}
    return scores
