"""What node and process say to each other.

A scan begins with its selection and header as a pickled object: both ends are this software, in one trust. Then its
items follow as from a client. Images go back, and lines of the log and the error as JSON in texts.
"""

import pickle
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from spokestream.pipelines import wire

__all__ = ["READY", "items_of", "node_end", "object_bytes", "process_end", "receive_object"]

READY = "ready"
"""The line of a process that can take a scan; any other line is an error."""
LIMITS = wire.Limits(body=1 << 40, text=1 << 30, attributes=1 << 30)
"""Those of the client are checked where its bytes arrive."""
OPENING = wire.ConfigFile("scan"), wire.Header("<header/>")
"""What a stream begins with; the process has got both already."""


def items_of(pieces: Iterable[bytes]) -> Iterator[Any]:
    """The items of a stream, until CLOSE or the last of its pieces."""
    with closing(process_end()) as connection:
        for data in pieces:
            for event in connection.receive_data(data):
                match event:
                    case wire.Data(item):
                        yield item
                    case wire.Close():
                        return


def node_end() -> wire.Connection:
    """The node's end of a stream, which can send items."""
    connection = wire.Connection(wire.Role.CLIENT, LIMITS)
    for event in OPENING:
        connection.send(event)
    return connection


def process_end() -> wire.Connection:
    """The process's end of a stream, which can receive items."""
    connection, node = wire.Connection(wire.Role.SERVER, LIMITS), wire.Connection(wire.Role.CLIENT)
    for event in OPENING:
        connection.receive_data(b"".join(node.send(event)))
    return connection


def object_bytes(what: object) -> bytes:
    """A Python object as bytes for `receive_object`."""
    data = pickle.dumps(what)
    return len(data).to_bytes(8, "little") + data


def receive_object(sock: socket.socket) -> Any:
    """Receive what `object_bytes` gave. Raises ConnectionError if the other end has closed the socket."""
    return pickle.loads(_exactly(sock, int.from_bytes(_exactly(sock, 8), "little")))  # noqa: S301  from this software


def _exactly(sock: socket.socket, n_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < n_bytes:
        part = sock.recv(n_bytes - len(data))
        if not part:
            raise ConnectionResetError("the socket is closed")
        data += part
    return bytes(data)
