"""The gadget: it takes the messages of a stream one at a time, and returns new messages."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Generic, TypeVar

from spokestream.gadgets.scan.cancellation import Cancellation

In = TypeVar("In")
Out = TypeVar("Out")

__all__ = ["Chain", "Gadget"]


class Gadget(ABC, Generic[In, Out]):
    """One step of the chain. It is synchronous, does no I/O, and works only when its caller feeds it.

    A gadget is built with its scan, as `Name(scan: ScanContext, ...)`. The constructor checks everything that can be
    refused before the first spoke, and raises `ScanError` with one sentence for the person at the console. It acquires
    nothing that must be released: grids, plans and threads are created with the first message. The runtime then calls
    `feed` for every message, `finish` if the scan ended well, and `close` in every case. A gadget owns the messages
    that it is fed, and returns new objects.
    """

    accepts: ClassVar[tuple[type, ...]]
    """Message types that `feed` takes. Messages of other types are passed on unchanged, at once."""

    @abstractmethod
    def feed(self, message: In, /) -> Iterable[Out]:
        """Take one message, and return the messages that are ready."""

    def finish(self) -> Iterable[Out]:
        """Return the messages that are still held back, because the scan has ended."""
        return ()

    def close(self) -> None:
        """Release plans, threads and devices. Called in every case, after `finish` or after an error."""


class Chain(Gadget[Any, Any]):
    """Gadgets in series; a chain is a gadget itself.

    Args:
        gadgets: the gadgets, from first to last.
        cancellation: the sign of the scan, which `cancel` sets.

    """

    accepts = (object,)

    def __init__(self, gadgets: Sequence[Gadget[Any, Any]], cancellation: Cancellation | None = None) -> None:
        self.gadgets = tuple(gadgets)
        self._cancellation = cancellation or Cancellation()
        self._closing = ExitStack()
        for gadget in gadgets:
            self._closing.callback(gadget.close)

    def feed(self, message: object, /) -> Iterator[Any]:
        """Feed one message to the first gadget and its results to the next ones; yields what the last one returns."""
        yield from self._push(message, 0)

    def finish(self) -> Iterator[Any]:
        """Finish the gadgets from first to last; messages that one held back still go through all later gadgets."""
        for i, gadget in enumerate(self.gadgets):
            for message in gadget.finish():
                yield from self._push(message, i + 1)

    def close(self) -> None:
        """Close every gadget once, from last to first, even if one of them raises an error."""
        self._closing.close()

    def cancel(self) -> None:
        """Make the chain stop soon with CancelledScanError. Any thread may call this."""
        self._cancellation.cancel()

    def _push(self, message: object, first: int) -> Iterator[Any]:
        self._cancellation.check()
        if first == len(self.gadgets):
            yield message
        elif isinstance(message, self.gadgets[first].accepts):
            for result in self.gadgets[first].feed(message):
                yield from self._push(result, first + 1)
        else:
            yield from self._push(message, first + 1)
