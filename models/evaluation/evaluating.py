"""Evaluation of reconstructors on subjects that no network was trained on; slices are reconstructed as by the node."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.evaluation.reconstructors import MATCHING, Reconstructor
from spokestream.models.evaluation.scores import Maps, Stratum, Verdict, strata_of, thirds
from spokestream.models.evaluation.subject_errors import WHOLE, SubjectError, subject_errors
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm, TissueModel

__all__ = ["TRUTH", "Condition", "Evaluation", "evaluate", "regions_of_interest"]

TRUTH = "truth"


@dataclass
class Condition:
    """One set of subjects, and the results of all reconstructors on it."""

    name: str
    model: TissueModel
    """The tissue model whose parameters are compared."""
    recipe: dict[str, Any]
    """The settings of the set."""
    seeds: list[int]
    """The numbers of the subjects."""
    strata: tuple[Stratum, ...]
    """Ranges of the pool fraction for which errors are reported separately: fixed ranges, and thirds of the set."""
    tissues: tuple[str, ...]
    """Tissues for which errors are reported separately, where there is one pool and therefore no pool fraction."""
    dictionary: str
    """Digest of the dictionary that matching searches."""
    verdicts: dict[str, Verdict]
    """The results by reconstructor."""
    truth: Verdict
    """Blurriness and example of the truth itself."""
    tissue: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    """(y, x) mask of tissue in the example, which is the middle slice of the first subject."""
    by_subject: list[SubjectError] = field(default_factory=list)
    """The errors of every subject in each tissue."""


@dataclass
class Evaluation:
    """The results of an evaluation."""

    reconstructors: list[Reconstructor]
    conditions: list[Condition]
    threads: int


def evaluate(
    folders: Sequence[Path],
    reconstructors: Sequence[Reconstructor],
    threads: int = 2,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Run every reconstructor on every subject of every set.

    Args:
        folders: folders of sets made by `spokestream dataset`, of subjects that no network was trained on. Every set is
            a condition.
        reconstructors: reconstructors with different names. If matching is one of them, the others are also compared
            with it.
        threads: CPU threads.
        progress: called with the number of slices that are done and the number of all slices, over all reconstructors.

    Raises InputError for names that occur twice, sets without subjects, subjects that a network was trained on, and
    sets whose demodulation differs from that of a network; ScanError for a network of another sequence or basis.

    """
    _refuse_equal_names([r.name for r in reconstructors], "reconstructors")
    names = [folder.resolve().name for folder in folders]
    _refuse_equal_names(names, "folders")
    sets = [TrainingSet(folder) for folder in folders]
    for data in sets:
        _refuse_training_subjects(data, reconstructors)
        _refuse_other_demodulation(data, reconstructors)
    total, done = len(reconstructors) * sum(map(len, sets)), 0
    conditions = []
    for name, data in zip(names, sets, strict=True):
        model = data.tissue_model
        strata = (*strata_of(model), *thirds(model, _pool_fractions(data, model))) if model.fraction else ()
        dictionary = model.dictionary(data.sequence)
        verdicts = {r.name: Verdict(model) for r in reconstructors}
        condition = Condition(
            name, model, data.recipe, data.seeds, strata, () if model.fraction else data.labels(0)[1][1:],
            dictionary.digest, verdicts, Verdict(model),
        )  # fmt: skip
        for _ in _judge(condition, data, reconstructors, dictionary, threads):
            done += 1
            if progress:
                progress(done, total)
        conditions.append(condition)
    return Evaluation(list(reconstructors), conditions, threads)


def regions_of_interest(names: Sequence[str]) -> list[int]:
    """The labels whose means are compared: the muscles, or all tissues if the anatomy has no left and right muscles."""
    muscles = [label for label, name in enumerate(names) if name.startswith(("right ", "left "))]
    return muscles or list(range(1, len(names)))


def _judge(
    condition: Condition,
    data: TrainingSet,
    reconstructors: Sequence[Reconstructor],
    dictionary: Dictionary,
    threads: int,
) -> Iterator[None]:
    """Fill in the results; yields after every slice of every reconstructor."""
    names = condition.model.names
    closed_form = condition.model.closed_form(data.sequence, data.basis)
    benches = {r.name: _Bench(r, dictionary, closed_form, threads, condition.verdicts[r.name]) for r in reconstructors}
    slices = int(data.recipe["slices"])
    for subject in range(len(data.seeds)):
        indices = range(subject * slices, (subject + 1) * slices)
        found: dict[str, list[Maps]] = {name: [] for name in benches}
        true, tissues = [], []
        for level, index in enumerate(indices):
            tensors = data[index]
            item = {name: tensor.numpy() for name, tensor in tensors.items()}
            message = Fingerprints(item["fingerprints"], data.basis, item["foreground"], level, NOWHERE)
            for name, bench in benches.items():
                found[name].append(bench.run(message))
                yield
            true.append({name: item[name] for name in names})
            tissues.append(tissue(tensors).numpy())
        truth, mask = _stacked(true), np.stack(tissues)
        maps = {name: _stacked(of_slices) for name, of_slices in found.items()}
        labels = np.stack([data.labels(index)[0] for index in indices])
        label_names = data.labels(indices[0])[1]
        wanted = regions_of_interest(label_names)
        of_tissue = {t: mask & (labels == label_names.index(t)) for t in condition.tissues if t in label_names}
        of_all = {WHOLE: mask} | {t: mask & (labels == n) for n, t in enumerate(label_names) if n}
        for name, verdict in condition.verdicts.items():
            condition.by_subject += subject_errors(
                data.seeds[subject], name, condition.model, maps[name], truth, of_all
            )
            verdict.against(TRUTH).add(maps[name], truth, mask, labels, wanted)
            if name != MATCHING and MATCHING in maps:
                verdict.against(MATCHING).add(maps[name], maps[MATCHING], mask, labels, wanted)
            verdict.add_errors(maps[name], truth, mask, condition.strata)
            verdict.add_errors_of_tissues(maps[name], truth, of_tissue)
            verdict.add_blur(maps[name], mask)
        condition.truth.add_blur(truth, mask)
        if subject == 0:
            middle = slices // 2
            condition.tissue, condition.truth.example = mask[middle], true[middle]
            for name, verdict in condition.verdicts.items():
                verdict.example = found[name][middle]


class _Bench:
    """The gadget of a reconstructor, followed by the physics check; both are built as for a scan."""

    def __init__(
        self,
        reconstructor: Reconstructor,
        dictionary: Dictionary,
        closed_form: ClosedForm,
        threads: int,
        verdict: Verdict,
    ) -> None:
        self._verdict, self._names = verdict, closed_form.model.names
        self._scan = simulated_scan(dictionary.sequence, threads)
        self._gadget = reconstructor.make(self._scan, closed_form.model, dictionary)
        self._check = PhysicsCheck(self._scan, closed_form)

    def run(self, message: Fingerprints) -> Maps:
        """The maps of one slice and their standard deviations; time and flagged voxels are added to the results."""
        begin = perf_counter()
        (made,) = self._gadget.feed(message)
        self._verdict.seconds.append(perf_counter() - begin)
        (checked,) = self._check.feed(made)
        counts = self._scan.integrity.take(message.slice)
        self._verdict.flagged += counts.get("flagged", 0)
        self._verdict.foreground += counts.get("foreground", 0)
        return {name: values for name, values in checked.maps.items() if name.removesuffix("_std") in self._names}


def _pool_fractions(data: TrainingSet, model: TissueModel) -> NDArray[np.float32]:
    """The pool fractions (n,) of all voxels of tissue."""
    items = (data[index] for index in range(len(data)))
    return np.concatenate([item[model.fraction][tissue(item)].numpy() for item in items])


def _stacked(slices: list[Maps]) -> Maps:
    return {name: np.stack([maps[name] for maps in slices]) for name in slices[0]}


def _refuse_equal_names(names: list[str], what: str) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"Two of the {what} are called '{twice[0]}'; give each a name of its own.")


def _refuse_training_subjects(data: TrainingSet, reconstructors: Sequence[Reconstructor]) -> None:
    if not data.seeds:
        raise InputError(f"The set in {data.folder} has no subjects.")
    for reconstructor in reconstructors:
        if trained := sorted(reconstructor.trained_on.intersection(data.seeds)):
            raise InputError(
                f"The network '{reconstructor.name}' was trained on subject {trained[0]} of {data.folder}; "
                "evaluate it on others."
            )


def _refuse_other_demodulation(data: TrainingSet, reconstructors: Sequence[Reconstructor]) -> None:
    for reconstructor in reconstructors:
        if reconstructor.demodulation_hz not in (None, data.demodulation_hz):
            raise InputError(
                f"The network '{reconstructor.name}' was made for a demodulation of {reconstructor.demodulation_hz:g} "
                f"Hz, the set in {data.folder} with {data.demodulation_hz:g} Hz."
            )
