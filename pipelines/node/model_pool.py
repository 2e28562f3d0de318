"""The pool of loaded networks: every network is loaded once, and scans use it one after another."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spokestream.gadgets.imaging.low_rank import EchoTime, echo_times_of
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork

__all__ = ["MODEL_POOL", "FairLock", "ModelPool", "SharedNetwork"]


class FairLock:
    """A lock that threads get in the order in which they asked for it. A plain lock does not guarantee this order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, and release it at the end of the context."""
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
    """A network that several scans use, one slice at a time."""

    network: TiledNetwork
    lock: FairLock
    """The lock that a scan holds while it uses the network."""

    @cached_property
    def echo_times(self) -> list[EchoTime]:
        """Those of its basis, for iterative images.

        They are found once, because making a dictionary takes seconds. All scans of the network have its sequence.
        """
        contract = self.network.contract
        atoms = contract.model.dictionary(contract.sequence, contract.field_t).atoms
        return echo_times_of(contract.model, contract.sequence, contract.basis, atoms)


class ModelPool:
    """Loads every network once for each device and precision, and keeps it in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[Path, str, str], SharedNetwork] = {}

    def share(self, path: Path, device: str = "auto", precision: str = "auto") -> SharedNetwork:
        """The network of an archive, which is loaded if it is not loaded yet. Raises InputError or FileError."""
        key = path.resolve(), device, precision
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = SharedNetwork(TiledNetwork(load_archive(path), device, precision), FairLock())
            return self._loaded[key]


MODEL_POOL = ModelPool()
"""The pool of loaded networks in this process."""
