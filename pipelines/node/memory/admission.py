"""The memory of one scan: it is planned and reserved before the chain is built, and returned at the end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import ismrmrd

from spokestream.pipelines.node.memory.budget import MemoryBudget, words

__all__ = ["Admission"]


class Admission:
    """The reservation of one scan.

    Args:
        budget: the memory of all scans.
        plan: the number of bytes that the scan needs, given channels and bytes of its largest readout. Raises
            SpokestreamError if the scan cannot be served.
        log: the log of the session.

    """

    def __init__(self, budget: MemoryBudget, plan: Callable[[int, int], int], log: logging.Logger) -> None:
        self.held = 0
        self._budget, self._plan, self._log = budget, plan, log
        self._channels = self._readout_bytes = 0

    async def admit(self, item: Any, tell: Callable[[int], None]) -> None:
        """Reserve the memory of a scan that begins with this item; waits if other scans hold it.

        Args:
            item: a readout or another item; None if the scan has none.
            tell: called with the place in the queue.

        Raises SpokestreamError if the scan cannot be served.

        """
        self._is_larger(item)
        needed = await self._needed()
        await self._budget.reserve(needed, tell)
        self.held = needed
        self._log.info("%s of memory are reserved for the scan.", words(needed))

    async def accept(self, item: Any) -> None:
        """Extend the reservation if a readout is larger than all before it. Raises ScanError if there is no room."""
        if self._is_larger(item):
            needed = max(self.held, await self._needed())
            self._budget.grow(self.held, needed)
            self.held = needed

    def release(self) -> None:
        """Return the memory."""
        held, self.held = self.held, 0
        if held:
            self._budget.release(held)

    async def _needed(self) -> int:
        # in a thread, because reading a header of some megabytes takes a second
        return await asyncio.to_thread(self._plan, self._channels, self._readout_bytes)

    def _is_larger(self, item: Any) -> bool:
        if not isinstance(item, ismrmrd.Acquisition):
            return False
        before = self._channels, self._readout_bytes
        self._channels = max(self._channels, item.active_channels)
        self._readout_bytes = max(self._readout_bytes, item.data.nbytes + item.traj.nbytes)
        return (self._channels, self._readout_bytes) != before
