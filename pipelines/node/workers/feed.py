"""The items of a scan in its process: one thread receives them, the chain takes them."""

import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from spokestream.pipelines import wire
from spokestream.pipelines.node.workers.inbox import AbandonedError, item_bytes

__all__ = ["Feed"]

READ_BYTES = 1 << 18
CAPACITY = 8 << 20
"""Bytes of items that wait in the process; all others wait in the node, which limits them."""
LOOK_S = 0.1
"""Time between two looks at whether the node has hung up while too many items wait."""


class Feed:
    """Receives the items of a scan, and iterates over them.

    Args:
        sock: the socket of the scan.
        connection: the protocol, which has read configuration and header already.
        hung_up: called in the receiving thread if the node closes the socket before the scan has ended.

    """

    def __init__(self, sock: socket.socket, connection: wire.Connection, hung_up: Callable[[], None]) -> None:
        self._socket, self._wire, self._hung_up = sock, connection, hung_up
        self._items: deque[Any] = deque()
        self._held = 0
        self._ended = self._abandoned = self._finished = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive, name="feed")
        self._thread.start()

    def __iter__(self) -> Iterator[Any]:
        """The items, in the order in which they came. Raises AbandonedError if the node has hung up."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended or self._abandoned)
                if self._abandoned:
                    raise AbandonedError
                if not self._items:
                    return
                item = self._items.popleft()
                self._held -= item_bytes(item)
                self._changed.notify_all()
            yield item

    def finish(self) -> None:
        """Stop receiving: the scan has ended."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _receive(self) -> None:
        try:
            while data := self._socket.recv(READ_BYTES):
                for event in self._wire.receive_data(data):
                    self._take(event)
        except (OSError, AbandonedError, wire.RemoteProtocolError):
            pass
        with self._changed:
            self._abandoned = not self._finished
            self._changed.notify_all()
        if self._abandoned:
            self._hung_up()

    def _take(self, event: wire.Event) -> None:
        with self._changed:
            match event:
                case wire.Data(item):
                    self._wait_for_room(item_bytes(item))
                    self._items.append(item)
                    self._held += item_bytes(item)
                case wire.Close():
                    self._ended = True
            self._changed.notify_all()

    def _wait_for_room(self, n_bytes: int) -> None:
        while self._held and self._held + n_bytes > CAPACITY:
            if self._finished or (not self._changed.wait(LOOK_S) and self._is_hung_up()):
                raise AbandonedError

    def _is_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, 0)
        return bool(poll.poll(0))
