"""A queue with a limit in bytes: the event loop puts items in, one worker thread takes them out."""

import asyncio
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import ismrmrd

__all__ = ["ITEM_BYTES", "AbandonedError", "Inbox", "item_bytes"]

ITEM_BYTES = 2048
"""Size of a readout in Python without its arrays: its header and the objects around it."""


class AbandonedError(Exception):
    """Raised in a worker thread if nobody waits for the scan any more."""


class Inbox:
    """The items of a scan that were received, but not processed yet.

    `put` waits while the inbox is full. Then the socket is not read, so that the client has to wait as well.
    """

    def __init__(self, capacity: int) -> None:
        self.held = 0
        """Number of bytes, including the item that is being processed."""
        self.abandoned = threading.Event()
        self._capacity = capacity
        self._items: SimpleQueue[tuple[Any, int] | None] = SimpleQueue()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def put(self, item: Any, n_bytes: int) -> None:
        """Add an item as soon as there is room for it. An item of any size fits into an empty inbox."""
        while self.held and self.held + n_bytes > self._capacity:
            self._room.clear()
            await self._room.wait()
        self.held += n_bytes
        self._items.put((item, n_bytes))

    def end(self) -> None:
        """Mark the end of the items."""
        self._items.put(None)

    def abandon(self) -> None:
        """Make the worker stop at the next item."""
        self.abandoned.set()
        self.end()

    def __iter__(self) -> Iterator[Any]:
        """The items, for the worker thread. Raises AbandonedError."""
        while (entry := self._items.get()) is not None:
            item, n_bytes = entry
            self.check()
            yield item
            self._loop.call_soon_threadsafe(self._release, n_bytes)
        self.check()

    def check(self) -> None:
        """Raise AbandonedError if nobody waits for the scan any more."""
        if self.abandoned.is_set():
            raise AbandonedError

    def _release(self, n_bytes: int) -> None:
        self.held -= n_bytes
        self._room.set()


def item_bytes(item: Any) -> int:
    """The size of an item in bytes, with an estimate for headers and Python objects."""
    trajectory = item.traj.nbytes if isinstance(item, ismrmrd.Acquisition) else 0
    return int(item.data.nbytes) + trajectory + ITEM_BYTES
