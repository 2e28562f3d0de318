"""Reconstructors on subjects that they have never seen, every slice as the node would reconstruct it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.scan.header import ScanContext, ScanHeader
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.evaluation.reconstructors import MATCHING, Reconstructor
from spokestream.models.evaluation.scores import STRATA, Maps, Stratum, Verdict, thirds
from spokestream.simulator.physics.dictionaries.water_fat import Dictionary, build_dictionary
from spokestream.simulator.physics.tissue_models.water_fat import PARAMETERS, ClosedForm

__all__ = ["TRUTH", "Condition", "Evaluation", "evaluate", "regions_of_interest"]

TRUTH = "truth"


@dataclass
class Condition:
    """One set of subjects, and what was found on it."""

    name: str
    recipe: dict[str, Any]
    """Settings of the set."""
    seeds: list[int]
    """Of its subjects."""
    strata: tuple[Stratum, ...]
    """By which errors are told apart: of fixed fat fractions, and thirds of the set's."""
    dictionary: str
    """Digest of the dictionary that matching searches and the physics check takes its trains from."""
    verdicts: dict[str, Verdict]
    """By reconstructor."""
    truth: Verdict = field(default_factory=Verdict)
    """Blurriness and example of the truth itself."""
    tissue: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    """(y, x) of the example, the middle slice of the first subject."""


@dataclass
class Evaluation:
    """All that was found."""

    reconstructors: list[Reconstructor]
    conditions: list[Condition]
    threads: int


def evaluate(
    folders: Sequence[Path],
    reconstructors: Sequence[Reconstructor],
    threads: int = 2,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Run every reconstructor over every subject of every set.

    Args:
        folders: sets that `spokestream dataset` made, of subjects that no network has seen; each is a condition.
        reconstructors: of different names. With matching among them the others are compared with it, too.
        threads: of the CPU.
        progress: told how many slices of all reconstructors are done and how many there are.

    Raises ValueError for names that occur twice, sets without subjects, subjects that a network has learnt from, and
    sets that were demodulated otherwise than a network's scans; ScanError for a network of another sequence or basis.

    """
    _refuse_twins([r.name for r in reconstructors], "reconstructors")
    names = [folder.resolve().name for folder in folders]
    _refuse_twins(names, "folders")
    sets = [TrainingSet(folder) for folder in folders]
    for data in sets:
        _refuse_known_subjects(data, reconstructors)
        _refuse_other_demodulation(data, reconstructors)
    total, done = len(reconstructors) * sum(map(len, sets)), 0
    conditions = []
    for name, data in zip(names, sets, strict=True):
        strata = (*STRATA, *thirds(_fat_fractions(data)))
        dictionary = build_dictionary(data.sequence)
        verdicts = {r.name: Verdict() for r in reconstructors}
        condition = Condition(name, data.recipe, data.seeds, strata, dictionary.digest, verdicts)
        for _ in _judge(condition, data, reconstructors, dictionary, threads):
            done += 1
            if progress:
                progress(done, total)
        conditions.append(condition)
    return Evaluation(list(reconstructors), conditions, threads)


def regions_of_interest(names: Sequence[str]) -> list[int]:
    """Labels whose means are compared: the muscles, or all tissue of an anatomy that tells no side from the other."""
    muscles = [label for label, name in enumerate(names) if name.startswith(("right ", "left "))]
    return muscles or list(range(1, len(names)))


def _judge(
    condition: Condition,
    data: TrainingSet,
    reconstructors: Sequence[Reconstructor],
    dictionary: Dictionary,
    threads: int,
) -> Iterator[None]:
    """Fill in the verdicts; yields after every slice of every reconstructor."""
    closed_form = ClosedForm(data.sequence, data.basis)
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
            true.append({name: item[name] for name in PARAMETERS})
            tissues.append(tissue(tensors).numpy())
        truth, there = _stacked(true), np.stack(tissues)
        maps = {name: _stacked(of_slices) for name, of_slices in found.items()}
        labels = np.stack([data.labels(index)[0] for index in indices])
        wanted = regions_of_interest(data.labels(indices[0])[1])
        for name, verdict in condition.verdicts.items():
            verdict.scores[TRUTH].add(maps[name], truth, there, labels, wanted)
            if name != MATCHING and MATCHING in maps:
                verdict.scores[MATCHING].add(maps[name], maps[MATCHING], there, labels, wanted)
            verdict.add_errors(maps[name], truth, there, condition.strata)
            verdict.add_blur(maps[name], there)
        condition.truth.add_blur(truth, there)
        if subject == 0:
            middle = slices // 2
            condition.tissue, condition.truth.example = there[middle], true[middle]
            for name, verdict in condition.verdicts.items():
                verdict.example = found[name][middle]


class _Bench:
    """A reconstructor's gadget and the physics check behind it, started as for a scan."""

    def __init__(
        self,
        reconstructor: Reconstructor,
        dictionary: Dictionary,
        closed_form: ClosedForm,
        threads: int,
        verdict: Verdict,
    ) -> None:
        self._gadget, self._check = reconstructor.make(dictionary), PhysicsCheck(closed_form)
        self._verdict = verdict
        header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
        quiet = logging.Logger("evaluation", logging.ERROR)  # flags are counted here, slice after slice
        scan = ScanContext(header, dictionary.sequence, threads, quiet)
        for gadget in (self._gadget, self._check):
            gadget.start(scan)

    def run(self, message: Fingerprints) -> Maps:
        """Maps of one slice and their standard deviations; time and flags go to the verdict."""
        begin = perf_counter()
        (made,) = self._gadget.feed(message)
        self._verdict.seconds.append(perf_counter() - begin)
        (checked,) = self._check.feed(made)
        self._verdict.flagged += checked.integrity.get("flagged", 0)
        self._verdict.foreground += checked.integrity.get("foreground", 0)
        return {name: values for name, values in checked.maps.items() if name.removesuffix("_std") in PARAMETERS}


def _fat_fractions(data: TrainingSet) -> NDArray[np.float32]:
    """(n,) of all tissue."""
    items = (data[index] for index in range(len(data)))
    return np.concatenate([item["ff"][tissue(item)].numpy() for item in items])


def _stacked(slices: list[Maps]) -> Maps:
    return {name: np.stack([maps[name] for maps in slices]) for name in slices[0]}


def _refuse_twins(names: list[str], what: str) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two of the {what} are called '{twice[0]}'; give each a name of its own.")


def _refuse_known_subjects(data: TrainingSet, reconstructors: Sequence[Reconstructor]) -> None:
    if not data.seeds:
        raise ValueError(f"The set in {data.folder} has no subjects.")
    for reconstructor in reconstructors:
        if known := sorted(reconstructor.learnt.intersection(data.seeds)):
            raise ValueError(
                f"The network '{reconstructor.name}' has learnt from subject {known[0]} of {data.folder}; "
                "evaluate it on others."
            )


def _refuse_other_demodulation(data: TrainingSet, reconstructors: Sequence[Reconstructor]) -> None:
    demodulation_hz = float(data.recipe["demodulation_hz"])
    for reconstructor in reconstructors:
        if reconstructor.demodulation_hz not in (None, demodulation_hz):
            raise ValueError(
                f"The network '{reconstructor.name}' was made for a demodulation of {reconstructor.demodulation_hz:g} "
                f"Hz, the set in {data.folder} with {demodulation_hz:g} Hz."
            )
