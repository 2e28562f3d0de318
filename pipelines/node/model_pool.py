"""The pool of loaded networks, and the queue of the scans that use one."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork

__all__ = ["MODEL_POOL", "ModelPool", "SharedNetwork", "Turns"]


class Turns:
    """A queue in the order of arrival. A plain lock may pass over the one that has waited longest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and end it with the context."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._queue[0] is ticket)
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()


@dataclass(frozen=True)
class SharedNetwork:
    """A network that several scans use, a slice at a time."""

    network: TiledNetwork
    turns: Turns


class ModelPool:
    """Loads every network once for each device and precision, and keeps it warm."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path, str, str], SharedNetwork] = {}

    def share(self, path: Path, device: str = "auto", precision: str = "auto") -> SharedNetwork:
        """The network of an archive, loaded now if it is not yet. Raises ValueError as loading does."""
        key = path.resolve(), device, precision
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = SharedNetwork(TiledNetwork(load_archive(path), device, precision), Turns())
            return self._loaded[key]


MODEL_POOL = ModelPool()
"""The pool of loaded networks in this process."""
