"""The messages of a scan in its process: one thread receives them, the chain's thread decodes them."""

import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator

from spokestream.pipelines.node.workers.inbox import AbandonedError

__all__ = ["Feed"]

READ_BYTES = 1 << 20
CAPACITY = 8 << 20
"""Bytes that wait in the process; all others wait in the node, which limits them."""
LOOK_S = 0.1
"""Time between two looks at whether the node has hung up while too many bytes wait."""


class Feed:
    """Receives the bytes of a scan, and iterates over them.

    Args:
        sock: the socket of the scan.
        hung_up: called in the receiving thread if the node closes the socket before the scan has ended.

    """

    def __init__(self, sock: socket.socket, hung_up: Callable[[], None]) -> None:
        self._socket, self._hung_up = sock, hung_up
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._abandoned = self._finished = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive, name="feed")
        self._thread.start()

    def __iter__(self) -> Iterator[bytes]:
        """The bytes, in the pieces in which they came, without an end. Raises AbandonedError if the node hangs up."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._abandoned)
                if self._abandoned:
                    raise AbandonedError
                piece = self._pieces.popleft()
                self._held -= len(piece)
                self._changed.notify_all()
            yield piece

    def finish(self) -> None:
        """Stop receiving: the scan has ended."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _receive(self) -> None:
        try:
            while piece := self._socket.recv(READ_BYTES):
                self._take(piece)
        except (OSError, AbandonedError):
            pass
        with self._changed:
            self._abandoned = not self._finished
            self._changed.notify_all()
        if self._abandoned:
            self._hung_up()

    def _take(self, piece: bytes) -> None:
        with self._changed:
            self._wait_for_room(len(piece))
            self._pieces.append(piece)
            self._held += len(piece)
            self._changed.notify_all()

    def _wait_for_room(self, n_bytes: int) -> None:
        while self._held and self._held + n_bytes > CAPACITY:
            if self._finished or (not self._changed.wait(LOOK_S) and self._is_hung_up()):
                raise AbandonedError

    def _is_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, 0)
        return bool(poll.poll(0))
