"""The gadget: something that is fed messages of a stream, one at a time, and gives others back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

__all__ = ["Chain", "Gadget"]


class Gadget(ABC, Generic[In, Out]):
    """One step of the stream: synchronous, pushed, without I/O.

    A gadget is built with its scan, as `Name(scan: ScanContext, ...)`. The constructor checks everything that can be
    refused before the first spoke and raises `ScanError` with one sentence for the person at the console. It takes
    nothing that must be given back: grids, plans and threads come with the first message. The runtime then calls `feed`
    for every message, `finish` when the scan ended well, and `close` always. A gadget owns what it is fed; what it
    returns are new objects.
    """

    accepts: ClassVar[tuple[type, ...]]
    """Message types that `feed` takes. Messages of other types are passed on unchanged, at once."""

    @abstractmethod
    def feed(self, message: In, /) -> Iterable[Out]:
        """Take one message, return those that are ready."""

    def finish(self) -> Iterable[Out]:
        """Return what is held back, as the scan has ended."""
        return ()

    def close(self) -> None:
        """Release plans and devices. Called on every path, after `finish` or after an error."""


class Chain(Gadget[Any, Any]):
    """Gadgets in series; a chain is a gadget itself."""

    accepts = (object,)

    def __init__(self, gadgets: Sequence[Gadget[Any, Any]]) -> None:
        self.gadgets = tuple(gadgets)
        self._closing = ExitStack()
        for gadget in gadgets:
            self._closing.callback(gadget.close)

    def feed(self, message: object, /) -> Iterator[Any]:
        """Push one message through all gadgets; yields what leaves the last one."""
        yield from self._push(message, 0)

    def finish(self) -> Iterator[Any]:
        """Finish the gadgets from first to last: what an early one held back still passes through the later ones."""
        for i, gadget in enumerate(self.gadgets):
            for message in gadget.finish():
                yield from self._push(message, i + 1)

    def close(self) -> None:
        """Close every gadget once, last to first, also when one of them fails to."""
        self._closing.close()

    def _push(self, message: object, first: int) -> Iterator[Any]:
        if first == len(self.gadgets):
            yield message
        elif isinstance(message, self.gadgets[first].accepts):
            for result in self.gadgets[first].feed(message):
                yield from self._push(result, first + 1)
        else:
            yield from self._push(message, first + 1)
