"""The memory of one scan: it is planned and reserved before the chain is built, and returned at the end."""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import ismrmrd

from spokestream.pipelines.node.memory.budget import MemoryBudget, words
from spokestream.pipelines.wire.messages.acquisition import array_bytes

__all__ = ["Admission"]

QUEUE_PART = 8
"""A queue has at most one in so many bytes of its scan's memory. The plan counts the readouts that the header
announces, and a client may send others."""
STEP = 1.25
"""Least growth of what is planned for, if a readout is larger than all before it."""


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

    async def admit(self, header: Any, tell: Callable[[int], None], queue_bytes: int) -> int:
        """Reserve the memory of a scan that begins with this item; waits if other scans hold it.

        Args:
            header: that of a readout or of another item; None if the scan has none.
            tell: called with the place in the queue.
            queue_bytes: largest number of bytes of items that may wait.

        Returns:
            How many may, which is less for a scan that needs little; `queue_bytes` if no memory is planned.

        Raises SpokestreamError if the scan cannot be served.

        """
        self._is_larger(header)
        needed = await self._needed()
        await self._budget.reserve(needed, tell)
        self.held = needed
        self._log.info("%s of memory are reserved for the scan.", words(needed))
        return min(queue_bytes, needed // QUEUE_PART) if needed else queue_bytes

    async def accept(self, header: Any) -> None:
        """Extend the reservation if a readout is larger than all before it. Raises ScanError if there is no room."""
        if self._is_larger(header):
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

    def _is_larger(self, header: Any) -> bool:
        if not isinstance(header, ismrmrd.AcquisitionHeader):
            return False
        channels, n_bytes = header.active_channels, array_bytes(header)
        if channels <= self._channels and n_bytes <= self._readout_bytes:
            return False
        self._channels = _grown(self._channels, channels)
        self._readout_bytes = _grown(self._readout_bytes, n_bytes)
        return True


def _grown(before: int, now: int) -> int:
    """The size to plan for. It grows in steps: a client could make every readout a little larger than the last."""
    return before if now <= before else max(now, math.ceil(STEP * before))
