"""The memory that the scans of a node may use together: every scan reserves what it needs before it starts."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spokestream.errors import InputError, ScanError

__all__ = ["MemoryBudget", "bytes_of", "default_memory", "resident_bytes", "words"]

DEFAULT_FRACTION = 0.6
"""Fraction of the machine's memory, or of its cgroup's, that a node uses unless the operator says otherwise."""
UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(eq=False)
class _Waiting:
    """A scan in the queue."""

    n_bytes: int
    tell: Callable[[int], None]
    granted: "asyncio.Future[None]"


class MemoryBudget:
    """Reservations of memory, which are granted in the order in which they were asked for.

    It must be used in one event loop.

    Args:
        capacity: bytes that all reservations may have together.
        most_waiting: number of scans that may wait at once.

    """

    def __init__(self, capacity: int, most_waiting: int) -> None:
        self.capacity, self.reserved = capacity, 0
        self._most_waiting = most_waiting
        self._queue: deque[_Waiting] = deque()

    async def reserve(self, n_bytes: int, tell: Callable[[int], None]) -> None:
        """Reserve memory, after all scans that came before.

        Args:
            n_bytes: the number of bytes, which the caller must release in every case.
            tell: called with the place in the queue, from 1, whenever it changes.

        Raises ScanError if the memory can never be granted, or if too many scans wait.

        """
        self._check(n_bytes)
        if not self._queue and self.reserved + n_bytes <= self.capacity:
            self.reserved += n_bytes
            return
        if len(self._queue) >= self._most_waiting:
            raise ScanError(
                f"The node's memory is in use and {len(self._queue)} scans wait for it already; try again later."
            )
        waiting = _Waiting(n_bytes, tell, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        tell(len(self._queue))
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
                self._grant()
            elif not waiting.granted.cancelled():
                self.release(n_bytes)
            raise

    def grow(self, before: int, after: int) -> None:
        """Replace a reservation by a larger one, at once. Raises ScanError if there is no room for it."""
        self._check(after)
        if self.reserved - before + after > self.capacity:
            raise ScanError(
                f"The scan needs {words(after)} of memory instead of {words(before)}, because a readout is larger than "
                f"those before it, and only {words(self.capacity - self.reserved)} are free."
            )
        self.reserved += after - before

    def release(self, n_bytes: int) -> None:
        """Return a reservation, and admit the scans that it makes room for."""
        self.reserved -= n_bytes
        self._grant()

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self.capacity:
            raise ScanError(
                f"The scan needs {words(n_bytes)} of memory, but the node has {words(self.capacity)} for all scans; "
                "reduce matrix, virtual coils or frames, or start the node with more --memory."
            )

    def _grant(self) -> None:
        n_before = len(self._queue)
        while self._queue:
            first = self._queue[0]
            if not first.granted.cancelled():  # else its scan has gone, and will notice in a moment
                if self.reserved + first.n_bytes > self.capacity:
                    break
                self.reserved += first.n_bytes
                first.granted.set_result(None)
            self._queue.popleft()
        if len(self._queue) < n_before:
            for place, waiting in enumerate(self._queue, 1):
                waiting.tell(place)


def words(n_bytes: int) -> str:
    """The size for people: "1.5 GiB" or "200 MiB"."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 1 << 30 else f"{n_bytes / 2**20:.0f} MiB"


def bytes_of(text: str) -> int:
    """The number of bytes in "2GiB", "800 MiB" or "1000000". Raises InputError for other texts."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]*)", text.strip())
    if not found or found[2].lower() not in UNITS:
        raise InputError(f"The setting memory must be a size such as 2GiB or 800MiB, not '{text[:64]}'.")
    return int(float(found[1]) * UNITS[found[2].lower()])


def default_memory() -> int:
    """`DEFAULT_FRACTION` of the memory of the machine, or of its cgroup if that has less."""
    total = int(Path("/proc/meminfo").read_text().split()[1]) << 10 if Path("/proc/meminfo").exists() else 8 << 30
    limits = [path.read_text().strip() for path in CGROUP_LIMITS if path.exists()]
    return int(DEFAULT_FRACTION * min([total, *(int(limit) for limit in limits if limit.isdigit())]))


def resident_bytes() -> int:
    """The memory that this process uses now; 0 where the system does not say."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0
