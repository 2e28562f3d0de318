"""A queue with a limit in bytes: the event loop puts messages in, one worker thread takes them out."""

import asyncio
import threading
from collections.abc import Iterator
from queue import SimpleQueue

__all__ = ["AbandonedError", "Inbox"]


class AbandonedError(Exception):
    """Raised in a worker thread if nobody waits for the scan any more."""


class Inbox:
    """The messages of a scan that were received, but not processed yet.

    `put` waits while the inbox is full. Then the socket is not read, so that the client has to wait as well.
    """

    def __init__(self, capacity: int) -> None:
        self.held = 0
        """Number of bytes, including the messages that are being processed."""
        self.abandoned = threading.Event()
        self._capacity = capacity
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def put(self, messages: bytes) -> None:
        """Add messages as soon as there is room for them. Messages of any size fit into an empty inbox."""
        while self.held and self.held + len(messages) > self._capacity:
            self._room.clear()
            await self._room.wait()
        self.held += len(messages)
        self._pieces.put(messages)

    def end(self) -> None:
        """Mark the end of the messages."""
        self._pieces.put(None)

    def abandon(self) -> None:
        """Make the worker stop at the next messages."""
        self.abandoned.set()
        self.end()

    def __iter__(self) -> Iterator[bytes]:
        """The messages, as they were put, for the worker thread. Raises AbandonedError."""
        while (messages := self._pieces.get()) is not None:
            self.check()
            yield messages
            self._loop.call_soon_threadsafe(self._release, len(messages))
        self.check()

    def check(self) -> None:
        """Raise AbandonedError if nobody waits for the scan any more."""
        if self.abandoned.is_set():
            raise AbandonedError

    def _release(self, n_bytes: int) -> None:
        self.held -= n_bytes
        self._room.set()
