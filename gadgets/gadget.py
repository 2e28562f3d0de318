"""The gadget: something that is fed messages of a stream, one at a time, and gives others back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from spokestream.gadgets.scan.header import ScanContext

In = TypeVar("In")
Out = TypeVar("Out")


class Gadget(ABC, Generic[In, Out]):
    """One step of the stream: synchronous, pushed, without I/O.

    The runtime calls `start` once, `feed` for every message, `finish` when the scan ended well, and `close`
    always. A gadget owns what it is fed; what it returns are new objects. It raises `ScanError` with one
    sentence for the person at the console when the scan cannot be reconstructed.
    """

    accepts: ClassVar[tuple[type, ...]]
    """Message types that `feed` takes. The chain lets any other message pass by at once, unharmed."""

    def start(self, scan: ScanContext) -> None:
        """Validate the scan, allocate plans. Everything that can be refused is refused here."""

    @abstractmethod
    def feed(self, message: In, /) -> Iterable[Out]:
        """Take one message, return those that are ready."""

    def finish(self) -> Iterable[Out]:
        """Flush: the scan ended."""
        return ()

    def close(self) -> None:
        """Release plans and devices. Called on every path, after `finish` or after an error."""


class Chain(Gadget[Any, Any]):
    """Gadgets in series; itself a gadget."""

    accepts = (object,)

    def __init__(self, gadgets: Sequence[Gadget[Any, Any]]) -> None:
        self.gadgets = list(gadgets)
        self._started: list[Gadget[Any, Any]] = []

    def start(self, scan: ScanContext) -> None:
        """Start every gadget, first to last."""
        for gadget in self.gadgets:
            self._started.append(gadget)
            gadget.start(scan)

    def feed(self, message: object, /) -> Iterator[Any]:
        """Push one message through all gadgets; yields what leaves the last one."""
        yield from self._push(message, 0)

    def finish(self) -> Iterator[Any]:
        """Flush first to last: what an early gadget held back still passes through the later ones."""
        for i, gadget in enumerate(self.gadgets):
            for message in gadget.finish():
                yield from self._push(message, i + 1)

    def close(self) -> None:
        """Close every gadget that was started, last to first, whatever happened."""
        while self._started:
            self._started.pop().close()

    def _push(self, message: object, first: int) -> Iterator[Any]:
        if first == len(self.gadgets):
            yield message
        elif isinstance(message, self.gadgets[first].accepts):
            for result in self.gadgets[first].feed(message):
                yield from self._push(result, first + 1)
        else:
            yield from self._push(message, first + 1)
