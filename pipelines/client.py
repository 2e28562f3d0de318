"""The client of the server: sends a scan as a scanner would, and listens while it sends."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ismrmrd
import numpy as np

from spokestream.errors import InputError, SpokestreamError
from spokestream.pipelines import wire
from spokestream.pipelines.settings import AUTO
from spokestream.pipelines.tls import TlsError, TlsSocket

__all__ = ["ClientError", "Pace", "Reply", "scanner_pace", "send_scan"]

READ_BYTES = 1 << 18
CONNECT_S = 10.0
TICK_S = 2.5e-3
LONGEST_PAUSE_S = 60.0
Pace: TypeAlias = Sequence[float] | Callable[[int], float]
"""Seconds from item i to the next item: a sequence with one number per item, or a function of i."""


class ClientError(SpokestreamError):
    """A server did not reconstruct the scan; the message is one sentence."""


@dataclass
class Reply:
    """The answer of a server to a scan."""

    images: list[ismrmrd.Image] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    seconds_from_last_spoke_to_last_image: float = 0.0
    """The time that the person at the console waits after the scan."""


def send_scan(
    header_xml: str,
    items: Iterable[Any],
    host: str = "localhost",
    port: int = 9002,
    config: str = AUTO,
    parameters: Mapping[str, Any] | None = None,
    pace: Pace | None = None,
    on_event: Callable[[wire.Event], None] | None = None,
    timeout_s: float = 600.0,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Send a scan and collect the images.

    Args:
        header_xml: ISMRMRD header.
        items: acquisitions, waveforms and images, in order.
        host: name or address of the server.
        port: its TCP port.
        config: the name of the pipeline, or XML.
        parameters: settings of the pipeline, sent after the header as a scanner's console sends them.
        pace: when to send which item; if None, items are sent as fast as the server takes them.
        on_event: called, in another thread, with every message of the server.
        timeout_s: how long the server may take nothing, or say nothing after the scan.
        tls: which server is trusted, from `spokestream.pipelines.tls`; without it, nothing is encrypted.

    Raises ClientError when there is no server, when it refuses the scan, and when it hangs up without CLOSE.

    """
    events = _script(header_xml, items, config, parameters)
    with _connect(host, port, tls) as sock:
        sock.settimeout(timeout_s)
        listener = _Listener(sock, on_event)
        listener.start()
        try:
            last_spoke = _speak(sock, events, pace, listener)
        except BaseException:
            sock.shutdown(socket.SHUT_RDWR)
            raise
        finally:
            listener.join()
    listener.reply.seconds_from_last_spoke_to_last_image = max(0.0, listener.last_image - last_spoke)
    return listener.verdict()


def scanner_pace(acquisitions: Iterable[ismrmrd.Acquisition], speed: float) -> list[float]:
    """Seconds from every acquisition to the next, by their time stamps; 0 after the last.

    Args:
        acquisitions: a whole scan.
        speed: how many times faster than the scanner.

    Raises InputError if the speed is not positive.

    """
    if not 0 < speed < np.inf:
        raise InputError(f"The speed must be positive, got {speed:g}.")
    ticks = np.array([acquisition.acquisition_time_stamp for acquisition in acquisitions], float)
    # stamps of other clocks, or of a day that ended, are no reason to wait for ever
    seconds = np.clip(np.diff(ticks, append=ticks[-1:]) * TICK_S, 0, LONGEST_PAUSE_S)
    return [float(s) for s in seconds / speed]


def _script(
    header_xml: str, items: Iterable[Any], config: str, parameters: Mapping[str, Any] | None
) -> Iterator[wire.Event]:
    yield wire.ConfigText(config) if config.lstrip().startswith("<") else wire.ConfigFile(config)
    yield wire.Header(header_xml)
    if parameters:
        yield wire.Text(json.dumps({"parameters": dict(parameters)}))
    yield from map(wire.Data, items)
    yield wire.Close()


def _connect(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket | TlsSocket:
    try:
        sock = socket.create_connection((host, port), CONNECT_S)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ClientError(
            f"Cannot reach {host} port {port} ({reason}); is `spokestream serve` running there?"
        ) from None
    # a spoke is sent when it is there, not when the next one is
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return sock
    try:
        return TlsSocket(sock, tls, host)
    except BaseException as error:
        sock.close()
        if isinstance(error, TlsError | OSError):
            raise ClientError(str(error)) from None
        raise


def _speak(
    sock: socket.socket | TlsSocket, events: Iterable[wire.Event], pace: Pace | None, listener: "_Listener"
) -> float:
    """Send everything at its time, but stop when the server has closed. Returns when the last readout was sent."""
    connection = wire.Connection(wire.Role.CLIENT)
    seconds = pace if callable(pace) or pace is None else pace.__getitem__
    due = last_spoke = time.monotonic()
    index = 0
    for event in events:
        if isinstance(event, wire.Data):
            if listener.over.wait(max(0.0, due - time.monotonic())):
                break
            due += seconds(index) if seconds else 0.0
            index += 1
        try:
            sock.sendall(b"".join(connection.send(event)))
        except wire.LocalProtocolError as error:
            raise ClientError(str(error)) from None
        except TimeoutError:
            raise ClientError(f"The server took nothing for {sock.gettimeout():g} s.") from None
        except ConnectionError:
            break  # the listener knows more
        if isinstance(event, wire.Data) and isinstance(event.item, ismrmrd.Acquisition):
            last_spoke = time.monotonic()
    listener.nothing_to_add.set()
    return last_spoke


class _Listener(threading.Thread):
    """Collects what the server says, until it says CLOSE or the connection breaks."""

    def __init__(self, sock: socket.socket | TlsSocket, on_event: Callable[[wire.Event], None] | None) -> None:
        super().__init__(daemon=True, name="listener")
        self.reply = Reply()
        self.last_image = 0.0
        self.over = threading.Event()
        """The server will say nothing more."""
        self.nothing_to_add = threading.Event()
        """Everything has been sent, so that a silent server is a failure from now on."""
        self._sock = sock
        self._on_event = on_event
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            self._listen()
        except Exception as error:  # noqa: BLE001  raised again in the thread that waits for the verdict
            self._failure = error
        finally:
            self.over.set()

    def verdict(self) -> Reply:
        """The reply. Raises the error that kept it from being complete."""
        for text in self.reply.texts:
            if text.startswith("ERROR"):
                raise ClientError(f"The server says: {text.removeprefix('ERROR').strip()}")
        if isinstance(self._failure, (wire.RemoteProtocolError, ConnectionError)):
            raise ClientError(f"The server hung up after {len(self.reply.images)} images: {self._failure}")
        if isinstance(self._failure, TlsError):
            raise ClientError(str(self._failure))
        if self._failure:
            raise self._failure
        return self.reply

    def _listen(self) -> None:
        connection = wire.Connection(wire.Role.CLIENT)
        while connection.their_state is wire.State.STREAMING:
            try:
                data = self._sock.recv(READ_BYTES)
            except TimeoutError:
                if self.nothing_to_add.is_set():
                    raise ClientError(f"The server said nothing for {self._sock.gettimeout():g} s.") from None
                continue
            try:
                events = connection.receive_data(data)
            except wire.RemoteProtocolError as error:
                self._take(error.events)
                raise
            self._take(events)

    def _take(self, events: Iterable[wire.Event]) -> None:
        for event in events:
            match event:
                case wire.Data(ismrmrd.Image() as image):
                    self.last_image = time.monotonic()
                    self.reply.images.append(image)
                case wire.Text(text):
                    self.reply.texts.append(text)
            if self._on_event:
                self._on_event(event)
