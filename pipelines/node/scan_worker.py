"""The worker thread of one scan: takes readouts from the inbox, runs the chain, hands images to the event loop."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import ismrmrd

from spokestream.pipelines.node.inbox import Inbox
from spokestream.pipelines.run_chain import RunningChain, run_chain

__all__ = ["ScanWorker", "TellClient"]


class ScanWorker:
    """Runs one chain in a thread of its own. Create and use it inside the event loop."""

    def __init__(
        self,
        start: Callable[[], RunningChain],
        inbox: Inbox,
        send: Callable[[ismrmrd.Image], Coroutine[Any, Any, None]],
    ) -> None:
        self.inbox = inbox
        self._start = start
        self._send = send
        self._sending: Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        outcome: Future[None] = Future()
        self._done = asyncio.wrap_future(outcome)
        # a daemon: a computation that nobody waits for must not keep the node from exiting
        threading.Thread(target=self._run, args=(outcome,), daemon=True, name="scan").start()

    async def wait(self) -> None:
        """Until the chain has finished. Raises what ended it otherwise."""
        await asyncio.shield(self._done)

    async def stopped(self) -> None:
        """Until the thread has come to its end, good or bad."""
        if not self._done.done():
            await asyncio.wait({self._done})
        self._done.exception()  # seen, so that asyncio does not complain

    def abandon(self) -> None:
        """Let the thread stop at the next item or image."""
        self.inbox.abandon()
        if self._sending:
            self._sending.cancel()

    def _run(self, outcome: "Future[None]") -> None:
        try:
            self._reconstruct()
        except BaseException as error:  # noqa: BLE001  whatever it is, the session must hear of it
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    def _reconstruct(self) -> None:
        with closing(run_chain(self._start(), self.inbox)) as outputs:
            for item in outputs:
                # clients know images; readouts and waveforms that passed by would kill some of them
                if isinstance(item, ismrmrd.Image):
                    self._sending = asyncio.run_coroutine_threadsafe(self._send(item), self._loop)
                    self.inbox.check()
                    self._sending.result()


class TellClient(logging.Handler):
    """Passes the warnings of a chain on to its client."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a warning on; called in the thread in which the chain runs."""
        self._loop.call_soon_threadsafe(self._tell, f"WARNING {record.getMessage()}\n")
