"""The one way to run a chain, whoever drives it."""

from collections.abc import Generator, Iterable
from typing import Any, Protocol

__all__ = ["RunningChain", "run_chain"]


class RunningChain(Protocol):
    """What a started chain can do; `spokestream.gadgets.gadget.Chain` is one."""

    def feed(self, message: Any, /) -> Iterable[Any]:
        """Take one message, return those that are ready."""

    def finish(self) -> Iterable[Any]:
        """Flush."""

    def close(self) -> None:
        """Release everything."""


def run_chain(chain: RunningChain, items: Iterable[Any]) -> Generator[Any, None, None]:
    """Feed all items to a started chain, finish it when they end, close it on every path; yields what comes out."""
    try:
        for item in items:
            yield from chain.feed(item)
        yield from chain.finish()
    finally:
        chain.close()
