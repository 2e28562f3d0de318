"""Reconstruction of single slices of a set, in this process or by the workers of Dask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np
from threadpoolctl import threadpool_limits

from spokestream.dask_workers import in_order
from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.messages import Mask, ParameterMaps
from spokestream.gadgets.physics_check import FLAGGED_ABOVE, PhysicsCheck
from spokestream.gadgets.pulse_correction import PulseCorrection
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.evaluation.reconstructors import Origin, Reconstructor, again
from spokestream.models.evaluation.scores import Maps

__all__ = ["Bench", "Reconstructed", "by_workers", "in_this_process"]

_alone = Lock()
"""A process reconstructs one slice at a time, so that its time is that of a single slice."""


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """A slice that was reconstructed and checked."""

    maps: Maps
    """Name -> (y, x) of the parameters of the tissue model, and of their standard deviations."""
    seconds: float
    """Time from fingerprints to maps."""
    flagged: int
    """Number of voxels whose maps do not explain the signal."""
    foreground: int
    """Number of voxels that were checked."""
    contradicted: Mask
    """(y, x) mask of the voxels of the foreground that the physics check flags."""


class Bench:
    """The gadgets of the reconstructors for the slices of one set, each followed by the physics check, as for a scan.

    Args:
        data: the set.
        threads: CPU threads; they change no map.

    """

    def __init__(self, data: TrainingSet, threads: int) -> None:
        self._data, self._threads = data, threads
        self.dictionary = data.tissue_model.dictionary(data.sequence)
        """The dictionary that matching searches."""
        self._closed_form = data.tissue_model.closed_form(data.sequence, data.basis)
        self._made: dict[Reconstructor, tuple[ScanContext, Chain, Chain]] = {}

    def __call__(self, reconstructor: Reconstructor, index: int) -> Reconstructed:
        """Reconstruct a slice. Raises ScanError for a network of another sequence, basis or kind of images."""
        message = self._data.message(index)
        scan, gadget, check = self._gadgets(reconstructor)
        begin = perf_counter()
        (made,) = gadget.feed(message)
        seconds = perf_counter() - begin
        (checked,) = check.feed(made)
        counts, names = scan.integrity.take(message.slice), self._data.tissue_model.names
        maps = {name: values for name, values in checked.maps.items() if name.removesuffix("_std") in names}
        explained = checked.maps.get("misfit", np.zeros_like(message.foreground, np.float32)) <= FLAGGED_ABOVE
        return Reconstructed(
            maps, seconds, counts.get("flagged", 0), counts.get("foreground", 0), checked.foreground & ~explained
        )

    def refusal(self, reconstructor: Reconstructor) -> str | None:
        """The reason why a reconstructor cannot take the set's scans; None if it can."""
        try:
            self._gadgets(reconstructor)
        except ScanError as error:
            return str(error)
        return None

    def _gadgets(self, reconstructor: Reconstructor) -> tuple[ScanContext, Chain, Chain]:
        """The scan, the gadgets that are timed, and those that check their maps."""
        if reconstructor.images not in (None, self._data.images):
            raise ScanError(
                f"The network was trained on {reconstructor.images} images, not on the {self._data.images} ones here."
            )
        if reconstructor not in self._made:
            scan = simulated_scan(self._data.sequence, self._threads)
            gadgets: list[Gadget[Any, ParameterMaps]] = [
                reconstructor.make(scan, self._data.tissue_model, self.dictionary)
            ]
            matching, refine, model = reconstructor.images is None, reconstructor.refine, self._data.tissue_model
            describes_all = refine == "auto" and not model.nominal_flip_angles
            if refine == "on" or (describes_all and matching and not self._data.basis.is_windows):
                gadgets.append(Refinement(scan, self._closed_form))
            correction = Refinement(scan, self._closed_form) if describes_all and not matching else None
            check: list[Gadget[Any, Any]] = [
                PhysicsCheck(scan, self._closed_form, by_adjoint=not matching, correction=correction)
            ]
            if matching and refine != "off":
                check.append(PulseCorrection(scan, self._data.basis))
            self._made[reconstructor] = scan, Chain(gadgets), Chain(check)
        return self._made[reconstructor]


def in_this_process(bench: Bench, reconstructors: Sequence[Reconstructor], slices: int) -> Iterator[Reconstructed]:
    """The maps of all slices, and of each slice by all reconstructors."""
    for index in range(slices):
        for reconstructor in reconstructors:
            yield bench(reconstructor, index)


@dataclass(frozen=True)
class _Task:
    """What a worker needs to know of a slice."""

    run: str
    """A name that no other evaluation has, so that a worker of a running scheduler uses nothing of an earlier one."""
    folder: Path
    threads: int
    origin: Origin
    index: int


def by_workers(
    client: Any, folder: Path, threads: int, origins: Sequence[Origin], slices: int
) -> Iterator[Reconstructed]:
    """The same as `in_this_process`, with the same bits, by the workers of a client of Dask.

    Raises SpokestreamError for the reason why a slice could not be reconstructed.
    """
    run, folder = uuid4().hex, folder.absolute()  # workers have folders of their own
    tasks = (_Task(run, folder, threads, origin, index) for index in range(slices) for origin in origins)
    yield from in_order(client, _run, tasks)


def _run(task: _Task) -> Reconstructed:
    with _alone, threadpool_limits(1, "blas"):
        bench, loaded = _kept(task.run, task.folder, task.threads)
        if task.origin not in loaded:
            loaded[task.origin] = again(task.origin)
        return bench(loaded[task.origin], task.index)


@lru_cache(maxsize=1)
def _kept(run: str, folder: Path, threads: int) -> tuple[Bench, dict[Origin, Reconstructor]]:
    return Bench(TrainingSet(folder), threads), {}
