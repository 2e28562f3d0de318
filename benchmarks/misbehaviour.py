"""Clients that break off, talk nonsense, fall silent or are slow, as seen by a node: what they send and hear."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import ismrmrd
import numpy as np

from spokestream.pipelines import wire

__all__ = ["MISBEHAVIOURS", "Answer", "HangError", "Messages", "heard_after", "messages_of"]

SLOW_READOUTS = 40
SLOW_S = 0.02


class HangError(Exception):
    """The node did not answer in time."""


@dataclass
class Answer:
    """What a client heard until the node closed the connection."""

    images: list[ismrmrd.Image]
    texts: list[str]
    closed: bool
    """Whether the node said CLOSE before it hung up."""

    @property
    def error(self) -> str:
        """The sentence with which the node refused; empty if there was none."""
        return next((text.strip() for text in self.texts if text.startswith("ERROR")), "")


@dataclass
class Messages:
    """The messages of a scan as bytes: configuration and header, then readouts, then CLOSE."""

    opening: Sequence[bytes]
    readouts: Sequence[bytes]
    close: bytes

    @property
    def all(self) -> bytes:
        """The whole scan."""
        return b"".join([*self.opening, *self.readouts, self.close])


def messages_of(pipeline: str, header: str, readouts: Sequence[ismrmrd.Acquisition]) -> Messages:
    """The messages of a scan."""
    client = wire.Connection(wire.Role.CLIENT)

    def message(event: wire.Event) -> bytes:
        return b"".join(client.send(event))

    opening = [message(wire.ConfigFile(pipeline)), message(wire.Header(header))]
    return Messages(opening, [message(wire.Data(readout)) for readout in readouts], message(wire.Close()))


def listen(sock: socket.socket, limit_s: float) -> Answer:
    """What the node says until it closes. Raises HangError after `limit_s`."""
    connection, events = wire.Connection(wire.Role.CLIENT), []
    end = time.monotonic() + limit_s
    try:
        while connection.their_state is wire.State.STREAMING:
            sock.settimeout(max(end - time.monotonic(), 1e-3))
            events += connection.receive_data(sock.recv(1 << 18))
    except TimeoutError:
        raise HangError(f"no end in {limit_s:g} s") from None
    except (ConnectionError, wire.RemoteProtocolError):
        pass  # it hung up without CLOSE
    images = [event.item for event in events if isinstance(event, wire.Data) and isinstance(event.item, ismrmrd.Image)]
    texts = [event.text for event in events if isinstance(event, wire.Text | wire.Response)]
    return Answer(images, texts, connection.their_state is wire.State.CLOSED)


def heard_after(sock: socket.socket, sent: bytes, limit_s: float, *, leaves: bool) -> Answer:
    """Send bytes, close that direction if the client `leaves`, and listen."""
    with suppress(ConnectionError):  # the node may hang up first
        sock.sendall(sent)
        if leaves:
            sock.shutdown(socket.SHUT_WR)
    return listen(sock, limit_s)


Misbehaviour = Callable[[socket.socket, Messages, np.random.Generator, float], Answer | None]
"""Behaves badly on a connection, for at most some seconds, and returns what it heard, or None if it left before."""


def some_of(scan: Messages, rng: np.random.Generator, most: float = 1.0) -> bytes:
    """The beginning of a scan, up to the end of a readout within this fraction of them."""
    return b"".join([*scan.opening, *scan.readouts[: int(rng.integers(1, most * len(scan.readouts)))]])


def hangs_up(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> None:
    sock.sendall(some_of(scan, rng))


def resets(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> None:
    sock.sendall(some_of(scan, rng))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def is_cut_off(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    begun = some_of(scan, rng)
    return heard_after(sock, begun[: -int(rng.integers(1, len(scan.readouts[0])))], limit_s, leaves=True)


def sends_random_bytes(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    begun = some_of(scan, rng) if rng.random() < 0.5 else b""
    return heard_after(sock, begun + rng.bytes(int(rng.integers(2, 1 << 16))), limit_s, leaves=False)


def sends_no_xml(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    client = wire.Connection(wire.Role.CLIENT)
    text = rng.integers(32, 127, int(rng.integers(1, 1000)), np.uint8).tobytes().decode()
    sent = [*client.send(wire.ConfigFile("mrf_t1ff")), *client.send(wire.Header(text)), scan.readouts[0], scan.close]
    return heard_after(sock, b"".join(sent), limit_s, leaves=False)


def changes_coils(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    other = ismrmrd.Acquisition.from_array(np.ones((int(rng.integers(7, 12)), 64), np.complex64))
    client = wire.Connection(wire.Role.CLIENT)
    for event in wire.ConfigFile("mrf_t1ff"), wire.Header(""):
        client.send(event)
    # with nine tenths of the spokes there are maps, because the other readout repeats a spoke and is left out
    sent = [some_of(scan, rng, most=0.8), *client.send(wire.Data(other)), scan.close]
    return heard_after(sock, b"".join(sent), limit_s, leaves=False)


def falls_silent(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    begun = some_of(scan, rng)
    return heard_after(sock, begun[: int(rng.integers(0, len(begun)))], limit_s, leaves=False)


def is_slow(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    first = int(rng.integers(len(scan.readouts) - SLOW_READOUTS))
    sock.sendall(b"".join([*scan.opening, *scan.readouts[:first]]))
    for readout in scan.readouts[first : first + SLOW_READOUTS]:
        cut = int(rng.integers(1, len(readout)))
        for part in readout[:cut], readout[cut:]:
            sock.sendall(part)
            time.sleep(SLOW_S / 2)
    rest = b"".join([*scan.readouts[first + SLOW_READOUTS :], scan.close])
    return heard_after(sock, rest, limit_s, leaves=False)


def greets_with_tls(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    hello, context = ssl.MemoryBIO(), ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    return heard_after(sock, hello.read(), limit_s, leaves=False)


def asks_nonsense(sock: socket.socket, scan: Messages, rng: np.random.Generator, limit_s: float) -> Answer:
    client = wire.Connection(wire.Role.CLIENT)
    text = rng.integers(32, 127, int(rng.integers(1, 5000)), np.uint8).tobytes().decode()
    sent = [*client.send(wire.Query(int(rng.integers(1 << 32)), text)), *client.send(wire.Close())]
    return heard_after(sock, b"".join(sent), limit_s, leaves=False)


MISBEHAVIOURS: dict[str, Misbehaviour] = {
    "closed in the middle": hangs_up,
    "reset in the middle": resets,
    "cut off in a message": is_cut_off,
    "random bytes": sends_random_bytes,
    "a header that is no XML": sends_no_xml,
    "other coils in the middle": changes_coils,
    "silence until the deadline": falls_silent,
    "slow readouts": is_slow,
    "TLS hello on the plain port": greets_with_tls,
    "a query of junk": asks_nonsense,
}
"""The ways to misbehave, by their names."""
