"""The function that runs a chain, both in the node and offline."""

from collections.abc import Generator, Iterable
from typing import Any, Protocol

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
    try:
        for item in items:
            yield from chain.feed(item)
        yield from chain.finish()
    finally:
        chain.close()
