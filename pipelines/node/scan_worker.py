"""The worker thread of one scan: it takes readouts from the inbox, runs the chain, and has the images sent."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import closing
from traceback import format_exception
from typing import Any, TypeVar

import ismrmrd

from spokestream.errors import SpokestreamError
from spokestream.pipelines.node.inbox import Inbox
from spokestream.pipelines.run_chain import RunningChain, run_chain

__all__ = ["ScanWorker", "WarningsToClient", "released"]

Error = TypeVar("Error", bound=BaseException)


def released(error: Error) -> Error:
    """The error without traceback and context, whose frames hold the scan's arrays.

    A future holds the error, and a frame holds the future, so that the arrays would stay until a garbage collection.
    """
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


class ScanWorker:
    """Runs one chain in a thread of its own. It must be created and used in the event loop."""

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
        self._chain: RunningChain | None = None
        self._loop = asyncio.get_running_loop()
        outcome: Future[None] = Future()
        self._done = asyncio.wrap_future(outcome)
        # a daemon thread, because a computation for which nobody waits must not prevent the end of the node
        threading.Thread(target=self._run, args=(outcome,), daemon=True, name="scan").start()

    async def wait(self) -> None:
        """Wait until the chain has finished. Raises the error that ended it."""
        await asyncio.shield(self._done)

    async def stopped(self) -> None:
        """Wait until the thread has ended, with or without an error."""
        if not self._done.done():
            await asyncio.wait({self._done})
        self._done.exception()  # retrieved, because asyncio otherwise logs a warning

    def abandon(self) -> None:
        """Make the thread stop at the next item or image, or within a computation."""
        self.inbox.abandon()
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
        with closing(run_chain(self._chain, self.inbox)) as outputs:
            for item in outputs:
                # only images are sent: readouts and waveforms, which the chain passes on, make some clients fail
                if isinstance(item, ismrmrd.Image):
                    self._sending = asyncio.run_coroutine_threadsafe(self._send(item), self._loop)
                    self.inbox.check()
                    self._sending.result()


class WarningsToClient(logging.Handler):
    """Sends the warnings of a chain to its client."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one warning. The chain may run in any thread."""
        self._loop.call_soon_threadsafe(self._warn, record.getMessage())
