"""The function that runs a chain, both in the node and offline."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

__all__ = ["RunningChain", "run_chain"]


class RunningChain(Protocol):
    """The interface of a chain, which `spokestream.gadgets.gadget.Chain` has."""

    def feed(self, message: Any, /) -> Iterable[Any]:
        """Take one message, and return the messages that are ready."""

    def finish(self) -> Iterable[Any]:
        """Return the messages that are still held back."""

    def cancel(self) -> None:
        """Make the chain stop soon, with an error. Any thread may call this."""

    def close(self) -> None:
        """Release everything."""


def run_chain(chain: RunningChain, items: Iterable[Any]) -> Generator[Any, None, None]:
    """Feed all items to a chain, finish it, and close it in every case; yields the messages that the chain returns."""
    with _ONE_BLAS_THREAD.held():
        try:
            for item in items:
                yield from chain.feed(item)
            yield from chain.finish()
        finally:
            chain.close()


class _OneBlasThread:
    """Keeps numpy's BLAS to one thread as long as any chain runs in this process.

    The matrices of one spoke are so small that more threads save nothing. On a busy machine they cost much: each
    product waits for a thread that has no core. Whitening then took 100 times as long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chains = 0
        self._limits: threadpool_limits | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep to one thread until the caller, and all others, have left."""
        with self._lock:
            self._chains += 1
            if self._chains == 1:
                self._limits = threadpool_limits(1, "blas")
        try:
            yield
        finally:
            with self._lock:
                self._chains -= 1
                if self._chains == 0 and self._limits is not None:
                    self._limits.restore_original_limits()


_ONE_BLAS_THREAD = _OneBlasThread()
