"""Makes a training set from a population: one task and one file for each subject, on any number of machines."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spokestream.dask_workers import cores_and_memory, dask_client, load_dask
from spokestream.gadgets.imaging.image_kinds import ITERATIVE
from spokestream.gadgets.imaging.low_rank import EchoTime, echo_times_of
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.fast_fingerprints import TOLERANCE, FastGridding
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.shards import Slice, open_or_create, shard_path, write_shard
from spokestream.models.datasets.varied_tissue import varied_relaxation
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.acquisition.slice_profile import slice_profile
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.phantoms import MAP_UNITS, Phantom
from spokestream.simulator.phantoms.changes import changed
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, window_basis
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence

__all__ = ["DataSettings", "exam_of", "make_subject", "make_training_set", "tissue_box"]

BOX_STEP = 96
"""The sides of a box are multiples of this many pixels, so that few point spread functions serve all subjects."""
TISSUE = 9
"""Identifies the random numbers of `varied_relaxation`; those of the scan have other identifiers."""
WORKER_BYTES = 4 << 30
"""Memory of a process at 350 pixels: the point spread functions and their working memory."""

Box = tuple[slice, slice]

_alone = Lock()
"""A process makes one subject at a time: the working memory is large and cannot be shared by threads."""
_kept: dict[tuple[Any, ...], FastGridding] = {}


def make_training_set(
    folder: Path,
    settings: DataSettings,
    scheduler: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Fill a folder with the subjects that it lacks; `TrainingSet` reads it.

    Args:
        folder: made if it does not exist. An unfinished training set is continued, and a finished one can grow.
        settings: of the set.
        scheduler: address of a Dask scheduler whose workers see the folder under the same name. None uses as many
            processes of this machine as its cores and memory allow; `synchronous` uses only the calling process.
        progress: called with the number of subjects that are done and the number that are wanted.

    Returns:
        The number of subjects made by this call; the others existed before.

    Raises InputError for settings that cannot be scanned and when Dask is missing, and FileError for a folder that was
    made with other settings.

    """
    settings.exam(settings.first_seed).protocol()
    sequence = load_sequence(settings.sequence)
    basis = open_or_create(folder, settings.recipe, sequence, partial(_basis, settings, sequence))
    anywhere = replace(settings, sequence=_absolute(settings.sequence))  # workers have folders of their own
    missing = [seed for seed in settings.seeds if not shard_path(folder, seed).exists()]
    done = len(settings.seeds) - len(missing)
    if progress:
        progress(done, len(settings.seeds))
    if not missing:
        return 0
    for _ in _completed(partial(make_subject, folder.absolute(), anywhere, basis), missing, scheduler):
        done += 1
        if progress:
            progress(done, len(settings.seeds))
    return len(missing)


def make_subject(folder: Path, settings: DataSettings, basis: TemporalBasis, seed: int) -> int:
    """Write the shard of one subject and return its number.

    All of it runs on one thread, since sums of torch and of numpy's BLAS round differently on another number of them.
    """
    with _alone, threadpool_limits(1, "blas"):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            exam = exam_of(settings, seed)
            box = tissue_box(exam.phantoms)
            slices = [_slice(exam, index, box, settings, basis) for index in range(settings.slices)]
            write_shard(shard_path(folder, seed), exam, (box[0].start, box[1].start), slices)
        finally:
            torch.set_num_threads(threads)
    return seed


def exam_of(settings: DataSettings, seed: int) -> WhitenedExam:
    """The exam of a subject, whose tissue is changed and varied as the settings say."""
    exam = WhitenedExam(settings.exam(seed))
    rng = np.random.default_rng((seed, TISSUE))
    exam.phantoms = changed(exam.phantoms, settings.change_of(seed), seed)
    exam.phantoms = varied_relaxation(exam.phantoms, exam.settings.slice_spacing_mm, settings.relaxation, rng)
    return exam


def _basis(settings: DataSettings, sequence: PulseSequence) -> TemporalBasis:
    """The temporal basis of the settings, for the atoms of the sequence's dictionary."""
    atoms = model_of_sequence(sequence).dictionary(sequence).atoms
    if settings.basis == "window":
        return window_basis(sequence, settings.window, settings.stride, atoms)
    return compressed_basis(sequence, atoms)


@lru_cache(maxsize=1)
def _inversion(sequence: str, basis: TemporalBasis) -> list[EchoTime]:
    """The echo times of the basis of a set, which all subjects have in common."""
    loaded = load_sequence(sequence)
    model = model_of_sequence(loaded)
    return echo_times_of(model, loaded, basis, model.dictionary(loaded).atoms)


def _absolute(sequence: str) -> str:
    return str(Path(sequence).absolute()) if sequence.endswith((".toml", ".seq")) else sequence


def tissue_box(phantoms: list[Phantom]) -> Box:
    """The box of pixels (rows, columns) that holds the tissue of all slices, within the field of view."""
    tissue = np.any([phantom.pd > 0 for phantom in phantoms], axis=0)
    sides = []
    for n, across in zip(tissue.shape, (1, 0), strict=True):
        occupied = np.flatnonzero(tissue.any(axis=across))
        first, end = (int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else (0, 1)
        size = min(n, -(-(end - first) // BOX_STEP) * BOX_STEP)
        start = min(max((first + end - size) // 2, 0), n - size)
        sides.append(slice(start, start + size))
    return sides[0], sides[1]


def _slice(exam: WhitenedExam, index: int, box: Box, settings: DataSettings, basis: TemporalBasis) -> Slice:
    if settings.path == "full":
        made = full_fingerprints(
            exam,
            index,
            basis,
            virtual_coils=settings.virtual_coils,
            demodulation_hz=settings.demodulation_hz,
            correct_delays=settings.delay_correction == "auto",
            inversion=_inversion(settings.sequence, basis) if settings.images == ITERATIVE else None,
        )
    else:
        made = _fast_gridding(exam, settings, basis).fingerprints(exam, index, box)
    phantom = exam.phantoms[index]
    return Slice(
        np.ascontiguousarray(made.data[:, *box]),
        made.foreground[box],
        {name: getattr(phantom, name)[box] for name in MAP_UNITS},
        phantom.label[box],
        None if made.adjoint is None else np.ascontiguousarray(made.adjoint.data[:, *box]),
    )


def _fast_gridding(exam: WhitenedExam, settings: DataSettings, basis: TemporalBasis) -> FastGridding:
    """The `FastGridding` of all subjects of a set; it is kept, because its point spread functions take seconds."""
    key = (*settings.recipe.items(), basis.weights.tobytes())
    if key not in _kept:
        _kept.clear()
        protocol = exam.protocol
        terms = SpokeTerms(
            exam.sequence,
            exam.nominal.time_ms,
            dk=1 / protocol.samples_per_pixel,
            efficiencies=settings.inversion_efficiency,
            most_delay=settings.delays,
            receiver_hz=settings.demodulation_hz,
            tolerance=TOLERANCE,
            profile=slice_profile(settings.slice_profile),
        )
        _kept[key] = FastGridding(
            terms,
            basis,
            exam.nominal,
            matrix=settings.matrix,
            virtual_coils=settings.virtual_coils,
            inversion=_inversion(settings.sequence, basis) if settings.images == ITERATIVE else None,
        )
    return _kept[key]


def _completed(make: Callable[[int], int], seeds: list[int], scheduler: str | None) -> Iterator[int]:
    """Make all subjects; each number is yielded when its subject is finished."""
    if scheduler == "synchronous":
        yield from map(make, seeds)
        return
    distributed = load_dask("Training sets are made")
    cores, memory = cores_and_memory()
    n_workers = max(1, min(len(seeds), cores, memory // WORKER_BYTES))
    with dask_client(scheduler, n_workers) as client:
        for future in distributed.as_completed(client.map(make, seeds, pure=False)):
            yield future.result()
