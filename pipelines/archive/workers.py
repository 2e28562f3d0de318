"""The number of workers that fit into the memory of this machine, and the threads of each."""

import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spokestream.errors import SpokestreamError
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.node.memory.plan import plan_scan
from spokestream.pipelines.selection import Selection

__all__ = ["PROCESS_BYTES", "Workers", "largest_plan", "plan_workers", "remote_workers"]

LOG = logging.getLogger("spokestream")
PROCESS_BYTES = 450 << 20
"""Memory of a worker beside the plan of its scan: libraries, Dask, and the drawing of pictures. Measured were 260 to
370 MiB after two scans of 48 and 192 pixels, by dictionary matching and by networks."""
MEMORY_FRACTION = 0.8
"""Fraction of the memory that the workers may take; the rest is left for the scheduler and for the cache of files."""


@dataclass(frozen=True)
class Workers:
    """How many processes reconstruct at once, and with how many threads each."""

    number: int
    threads: int


def largest_plan(paths: Iterable[Path], selection: Selection) -> int:
    """The memory, in bytes, that the largest of these scans needs.

    Of files of the same size, one is planned: an archive has few protocols, and a plan takes tens of milliseconds. A
    scan that cannot be planned cannot be reconstructed either, and counts as 0.
    """
    largest = 0
    for path in {path.stat().st_size: path for path in paths if path.is_file()}.values():
        try:
            scan = open_scan(path)
            readout = next(iter(scan))
            n_bytes = readout.data.nbytes + readout.traj.nbytes
            largest = max(
                largest, plan_scan(selection, scan.xml, readout.active_channels, n_bytes, queue_bytes=0).total
            )
        except (SpokestreamError, OSError, StopIteration):
            continue
    return largest


def plan_workers(scans: int, plan: int, cores: int, memory: int, wanted: int | None, threads: int | None) -> Workers:
    """The workers for a number of scans.

    Args:
        scans: the number of scans.
        plan: memory, in bytes, of the largest scan.
        cores: cores of the machine.
        memory: memory of the machine, in bytes.
        wanted: the number of workers that the operator asks for. By default there is one for each core; a warning says
            if fewer fit into the memory.
        threads: threads of each worker that the operator asks for; by default, all workers together have one for each
            core.

    """
    fitting = max(1, int(MEMORY_FRACTION * memory) // (PROCESS_BYTES + plan))
    number = max(1, min(scans, wanted or max(1, cores // (threads or 1)), fitting))
    if number < min(scans, wanted or 0):
        LOG.warning(
            "Only %d of %d workers fit into the memory of %.1f GiB: the largest scan needs %.1f GiB in each of them.",
            number, wanted, memory / 2**30, (PROCESS_BYTES + plan) / 2**30,
        )  # fmt: skip
    return Workers(number, threads or max(1, cores // number))


def remote_workers(workers: Collection[Mapping[str, Any]], plan: int) -> Workers:
    """The workers of a scheduler, which reconstruct one scan each with the threads that they were started with.

    A warning says if there is none yet, or if the memory of one is too small.

    Args:
        workers: what the scheduler says of each: `nthreads` and `memory_limit`, in bytes; 0 is unlimited.
        plan: memory, in bytes, of the largest scan.

    """
    if not workers:
        LOG.warning("The scheduler has no workers; the scans wait for the first one.")
    needed, least = PROCESS_BYTES + plan, min((w["memory_limit"] or math.inf for w in workers), default=math.inf)
    if least < needed:
        LOG.warning(
            "A worker may take %.1f GiB of memory, but the largest scan needs %.1f GiB; start fewer workers.",
            least / 2**30, needed / 2**30,
        )  # fmt: skip
    return Workers(len(workers), min((w["nthreads"] for w in workers), default=1))
