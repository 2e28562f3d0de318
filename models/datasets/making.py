"""From a population to a training set: one task a subject, one file a task, any number of machines."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spokestream.gadgets.imaging.foreground import foreground
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.fast_fingerprints import TOLERANCE, FastGridding
from spokestream.models.datasets.full_fingerprints import full_images
from spokestream.models.datasets.shards import Slice, claim, shard_path, write_shard
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.acquisition.slice_profile import slice_profile
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.phantoms import MAP_UNITS, Phantom
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis

__all__ = ["DataSettings", "make_subject", "make_training_set", "tissue_box"]

BOX_STEP = 96
"""Boxes are multiples of so many pixels: few point spread functions serve all subjects."""
WORKER_BYTES = 4 << 30
"""Of a process at 350 pixels: point spread functions and what they work with."""
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, "MKL_NUM_THREADS": 1}
"""Dask's own without MALLOC_TRIM_THRESHOLD_: giving memory back after every product takes as long as the products."""

Box = tuple[slice, slice]

_alone = Lock()
"""One subject at a time in a process: what is kept from slice to slice is large, and not made to be shared."""
_kept: dict[tuple[Any, ...], FastGridding] = {}


def make_training_set(
    folder: Path,
    settings: DataSettings,
    scheduler: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Fill a folder with the subjects that it lacks; `TrainingSet` reads it.

    Args:
        folder: made if it does not exist. One that holds a training set goes on where that stopped, or grows.
        settings: of the set.
        scheduler: address of a Dask scheduler whose workers see the folder under the same name; None takes as many
            processes of this machine as its cores and memory allow, `synchronous` this very process.
        progress: told how many subjects are done and how many are wanted.

    Returns:
        Subjects that were made now; the others were there.

    Raises ValueError for settings that cannot be scanned, a folder made with others, and when Dask is missing.

    """
    settings.exam(settings.first_seed).protocol()
    sequence = load_sequence(settings.sequence)
    basis = claim(
        folder, settings.recipe, sequence, lambda: compressed_basis(sequence, build_dictionary(sequence).atoms)
    )
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
            exam = WhitenedExam(settings.exam(seed))
            box = tissue_box(exam.phantoms)
            slices = [_slice(exam, index, box, settings, basis) for index in range(settings.slices)]
            write_shard(shard_path(folder, seed), exam, (box[0].start, box[1].start), slices)
        finally:
            torch.set_num_threads(threads)
    return seed


def _absolute(sequence: str) -> str:
    return str(Path(sequence).absolute()) if sequence.endswith((".toml", ".seq")) else sequence


def tissue_box(phantoms: list[Phantom]) -> Box:
    """Pixels that hold the tissue of all slices, with air around it where the field of view has some."""
    tissue = np.any([phantom.pd > 0 for phantom in phantoms], axis=0)
    sides = []
    for n, across in zip(tissue.shape, (1, 0), strict=True):
        there = np.flatnonzero(tissue.any(axis=across))
        first, end = (int(there[0]), int(there[-1]) + 1) if there.size else (0, 1)
        size = min(n, -(-(end - first) // BOX_STEP) * BOX_STEP)
        start = min(max((first + end - size) // 2, 0), n - size)
        sides.append(slice(start, start + size))
    return sides[0], sides[1]


def _slice(exam: WhitenedExam, index: int, box: Box, settings: DataSettings, basis: TemporalBasis) -> Slice:
    if settings.path == "full":
        images = full_images(exam, index, basis, settings.virtual_coils, settings.demodulation_hz)
    else:
        images = _fast_gridding(exam, settings, basis).images(exam, index, box)
    phantom = exam.phantoms[index]
    return Slice(
        np.ascontiguousarray(images[:, *box]),
        foreground(images)[box],
        {name: getattr(phantom, name)[box] for name in MAP_UNITS},
        phantom.label[box],
    )


def _fast_gridding(exam: WhitenedExam, settings: DataSettings, basis: TemporalBasis) -> FastGridding:
    """The same for all subjects of a set: its point spread functions take seconds to make."""
    key = (*settings.recipe.items(), basis.weights.tobytes())
    if key not in _kept:
        _kept.clear()
        protocol = exam.protocol
        terms = SpokeTerms(
            exam.sequence, exam.told.time_ms, 1 / protocol.samples_per_pixel, settings.inversion_efficiency,
            settings.delays, settings.demodulation_hz, TOLERANCE, slice_profile(settings.slice_profile),
        )  # fmt: skip
        _kept[key] = FastGridding(terms, basis, exam.told, settings.matrix, settings.virtual_coils)
    return _kept[key]


def _completed(make: Callable[[int], int], seeds: list[int], scheduler: str | None) -> Iterator[int]:
    """Make all subjects, and yield each when it is made."""
    if scheduler == "synchronous":
        yield from map(make, seeds)
        return
    try:
        import dask

        distributed: Any = import_module("distributed")
    except ImportError:
        raise ValueError("Training sets are made with Dask; install spokestream[train].") from None
    room = distributed.system.MEMORY_LIMIT // WORKER_BYTES
    local = partial(
        distributed.LocalCluster,
        n_workers=int(max(1, min(len(seeds), dask.system.CPU_COUNT, room))),
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=":0",
    )
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}),
        nullcontext(scheduler) if scheduler else local() as cluster,
        distributed.Client(cluster) as client,
    ):
        for future in distributed.as_completed(client.map(make, seeds, pure=False)):
            yield future.result()
