"""Workers in threads of the node: each takes messages from the inbox, runs the chain, and has the images sent."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from traceback import format_exception
from typing import Any

import ismrmrd

from spokestream.errors import SpokestreamError
from spokestream.pipelines.node.released import released
from spokestream.pipelines.node.workers.inbox import Inbox
from spokestream.pipelines.node.workers.link import items_of
from spokestream.pipelines.node.workers.worker import SendImage
from spokestream.pipelines.run_chain import RunningChain, run_chain

__all__ = ["ThreadWorker", "ThreadWorkers"]


class ThreadWorkers:
    """Runs every chain in a thread, where it shares interpreter and memory with the node.

    Args:
        start_scan: builds the chain of a scan from its selection, header and log.

    """

    scan_bytes = kept_bytes = 0

    def __init__(self, start_scan: Callable[[Any, str, logging.Logger], RunningChain]) -> None:
        self._start_scan = start_scan

    async def start(self) -> None:
        """Nothing has to be prepared."""

    def begin(
        self, selection: Any, header_xml: str, log: logging.Logger, send: SendImage, queue_bytes: int
    ) -> "ThreadWorker":
        """Start the thread of a scan, of which so many bytes of items may wait."""
        return ThreadWorker(lambda: self._start_scan(selection, header_xml, log), Inbox(queue_bytes), send)

    async def stop(self) -> None:
        """Nothing has to be released."""


class ThreadWorker:
    """Runs one chain in a thread of its own."""

    def __init__(self, start: Callable[[], RunningChain], inbox: Inbox, send: SendImage) -> None:
        self._inbox = inbox
        self._start = start
        self._send = send
        self._sending: Future[None] | None = None
        self._chain: RunningChain | None = None
        self._loop = asyncio.get_running_loop()
        outcome: Future[None] = Future()
        self._done = asyncio.wrap_future(outcome)
        # a daemon thread, because a computation for which nobody waits must not prevent the end of the node
        threading.Thread(target=self._run, args=(outcome,), daemon=True, name="scan").start()

    @property
    def held(self) -> int:
        """Bytes of items that wait, including the one that is being processed."""
        return self._inbox.held

    def see(self, header: object) -> None:
        """All threads of a process have the same priority."""

    async def put(self, messages: bytes) -> None:
        """Give the next items, as soon as there is room for them."""
        await self._inbox.put(messages)

    def end(self) -> None:
        """Mark the end of the items."""
        self._inbox.end()

    async def wait(self) -> None:
        """Wait until the chain has finished. Raises the error that ended it."""
        await asyncio.shield(self._done)

    async def stopped(self) -> None:
        """Wait until the thread has ended, with or without an error."""
        if not self._done.done():
            await asyncio.wait({self._done})
        self._done.exception()  # retrieved, because asyncio otherwise logs a warning

    def abandon(self) -> None:
        """Make the thread stop at the next items or image, or within a computation."""
        self._inbox.abandon()
        if self._chain:
            self._chain.cancel()
        if self._sending:
            self._sending.cancel()

    def _run(self, outcome: "Future[None]") -> None:
        try:
            self._reconstruct()
        except BaseException as error:  # noqa: BLE001  the session must get every error
            if isinstance(error, Exception) and not isinstance(error, SpokestreamError):
                error.add_note("".join(format_exception(error)))
            outcome.set_exception(released(error))
        else:
            outcome.set_result(None)

    def _reconstruct(self) -> None:
        self._chain = self._start()
        with closing(run_chain(self._chain, items_of(self._inbox))) as outputs:
            for item in outputs:
                # only images are sent: readouts and waveforms, which the chain passes on, make some clients fail
                if isinstance(item, ismrmrd.Image):
                    self._sending = asyncio.run_coroutine_threadsafe(self._send(item), self._loop)
                    self._inbox.check()
                    self._sending.result()
