"""Evaluation of reconstructors on subjects that no network was trained on; slices are reconstructed as by the node."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from spokestream.dask_workers import load_dask, planned_client
from spokestream.errors import InputError
from spokestream.gadgets.messages import Mask
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.evaluation.reconstructing import Bench, Reconstructed, by_workers, in_this_process
from spokestream.models.evaluation.reconstructors import MATCHING, Origin, Reconstructor
from spokestream.models.evaluation.scores import Maps, Stratum, Verdict, strata_of, thirds
from spokestream.models.evaluation.subject_errors import WHOLE, SubjectError, subject_errors
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["TRUTH", "Condition", "Evaluation", "evaluate", "regions_of_interest"]

TRUTH = "truth"
WORK = "Sets are evaluated by workers"
WORKER_BYTES = 300 << 20
"""Memory of a worker beside `PROCESS_BYTES`. At 350 pixels, a process that had matched a slice and reconstructed it by
two networks had taken 705 MiB at most, of which libraries without Dask were 256."""


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
    refused: dict[str, str] = field(default_factory=dict)
    """The reason for every reconstructor that cannot take the set's scans and was left out."""
    about: str = ""
    """What the condition is, in words."""


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
    scheduler: str | None = None,
    workers: int | None = None,
    leave_out: bool = False,
) -> Evaluation:
    """Run every reconstructor on every subject of every set.

    Args:
        folders: folders of sets made by `spokestream dataset`, of subjects that no network was trained on. Every set is
            a condition.
        reconstructors: reconstructors with different names. If matching is one of them, the others are also compared
            with it.
        threads: CPU threads, of each worker if there are workers; they change no map.
        progress: called with the number of slices that are done and the number of all slices, over all reconstructors.
        scheduler: address of a Dask scheduler whose workers see the same files, or `local` for processes of this
            machine. Each task is one slice by one reconstructor, and all numbers but the times are the same as without
            workers. None reconstructs in this process.
        workers: number of processes of this machine; by default as many as cores and memory allow.
        leave_out: whether a network of another sequence or basis is left out of a condition instead of an error.

    Raises InputError for names that occur twice, sets without subjects, subjects that a network was trained on,
    sets whose demodulation differs from that of a network, reconstructors that workers cannot make, and if Dask is
    missing or no scheduler answers; ScanError for a network of another sequence or basis.

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
    with threadpool_limits(1, "blas"), _workers(scheduler, total, workers, threads) as client:
        for name, data in zip(names, sets, strict=True):
            bench, model = Bench(data, threads), data.tissue_model
            reasons = {r.name: bench.refusal(r) for r in reconstructors} if leave_out else {}
            refused = {name: reason for name, reason in reasons.items() if reason}
            usable = [r for r in reconstructors if r.name not in refused]
            strata = (*strata_of(model), *thirds(model, _pool_fractions(data, model))) if model.fraction else ()
            verdicts = {r.name: Verdict(model) for r in usable}
            condition = Condition(
                name, model, data.recipe, data.seeds, strata, () if model.fraction else data.labels(0)[1][1:],
                bench.dictionary.digest, verdicts, Verdict(model), refused=refused,
            )  # fmt: skip
            found = (
                by_workers(client, data.folder, threads, _origins(usable), len(data)) if client
                else in_this_process(bench, usable, len(data))
            )  # fmt: skip
            done += len(refused) * len(data)
            for _ in _judge(condition, data, found):
                done += 1
                if progress:
                    progress(done, total)
            conditions.append(condition)
    return Evaluation(list(reconstructors), conditions, threads)


@contextmanager
def _workers(scheduler: str | None, tasks: int, wanted: int | None, threads: int) -> Iterator[Any]:
    """A client of Dask; None if no scheduler is wanted."""
    if scheduler is None:
        yield None
        return
    load_dask(WORK)
    with planned_client(scheduler, tasks, WORKER_BYTES, wanted, threads, "slice") as (client, _):
        yield client


def _origins(reconstructors: Sequence[Reconstructor]) -> list[Origin]:
    """What workers make the reconstructors from. Raises InputError for one that they cannot make."""
    for reconstructor in reconstructors:
        if reconstructor.origin is None:
            raise InputError(f"Workers cannot make '{reconstructor.name}', which is neither matching nor an archive.")
    return [reconstructor.origin for reconstructor in reconstructors if reconstructor.origin]


def regions_of_interest(names: Sequence[str]) -> list[int]:
    """The labels whose means are compared: the muscles, or all tissues if the anatomy has no left and right muscles."""
    muscles = [label for label, name in enumerate(names) if name.startswith(("right ", "left "))]
    return muscles or list(range(1, len(names)))


def _judge(condition: Condition, data: TrainingSet, slices: Iterator[Reconstructed]) -> Iterator[None]:
    """Fill in the results from the maps of all slices; yields after every slice of every reconstructor."""
    names, n_slices = condition.model.names, int(data.recipe["slices"])
    for subject in range(len(data.seeds)):
        indices = range(subject * n_slices, (subject + 1) * n_slices)
        found: dict[str, list[Maps]] = {name: [] for name in condition.verdicts}
        suspected: dict[str, list[Mask]] = {name: [] for name in condition.verdicts}
        true, tissues = [], []
        for index in indices:
            for name, verdict in condition.verdicts.items():
                reconstructed = next(slices)
                found[name].append(reconstructed.maps)
                suspected[name].append(reconstructed.contradicted)
                verdict.seconds.append(reconstructed.seconds)
                verdict.flagged += reconstructed.flagged
                verdict.foreground += reconstructed.foreground
                yield
            item = data[index]
            true.append({name: item[name].numpy() for name in names})
            tissues.append(tissue(item).numpy())
        truth, mask = _stacked(true), np.stack(tissues)
        maps = {name: _stacked(of_slices) for name, of_slices in found.items()}
        labels = np.stack([data.labels(index)[0] for index in indices])
        label_names = data.labels(indices[0])[1]
        wanted = regions_of_interest(label_names)
        muscle = mask & np.isin(labels, wanted)
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
            verdict.add_texture(maps[name], truth, mask, muscle)
            verdict.add_caught(maps[name], truth, mask, np.stack(suspected[name]))
        condition.truth.add_blur(truth, mask)
        if subject == 0:
            middle = n_slices // 2
            condition.tissue, condition.truth.example = mask[middle], true[middle]
            for name, verdict in condition.verdicts.items():
                verdict.example = found[name][middle]


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
