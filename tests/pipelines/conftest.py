"""A server with a toy pipeline, and toy scans for it."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.server import Server
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.settings import StreamSettings


@dataclass(frozen=True)
class ToySelection:
    name: str
    parameters: dict = field(default_factory=dict)
    settings: StreamSettings = field(default_factory=StreamSettings)

    def as_console_asks(self, parameters):
        if parameters.get("every") == "never":
            raise ScanError("The setting every must be a number.")
        unknown = [name for name in parameters if name != "every"]
        return replace(self, parameters={**self.parameters, **parameters}), unknown


def toy_select(text):
    if text not in ("toy", ""):  # an empty one leaves the choice to the node
        raise ScanError(f"There is no pipeline '{text[:20]}'; known are: toy.")
    return ToySelection("toy")


class ToyChain:
    """An image holding the number of readouts, after every so many and at the end.

    It takes a readout while its gate is open.
    """

    def __init__(self, selection, header, log, gate=None):
        if header == "<broken/>":
            raise ScanError("The header has no <encoding>.")
        self.every = int(selection.parameters.get("every", 1_000_000))
        self.log, self.count, self.closed, self.cancelled = log, 0, False, False
        self.gate, self.begun = gate, 0

    def feed(self, item):
        if not isinstance(item, ismrmrd.Acquisition):
            yield item
            return
        self.begun += 1
        if self.gate:
            self.gate.wait()
        self.count += 1
        if np.isnan(item.data[0, 0]):
            raise ScanError("A readout holds NaN.")
        if item.data[0, 0] == 50:
            raise ScanError("50 %n are %s.")
        if item.data[0, 0] == 666:
            raise KeyError("beast")
        if item.data[0, 0] == 7:
            self.log.warning("This is a 7.")
        if self.count % self.every == 0:
            yield counting_image(self.count)

    def finish(self):
        yield counting_image(self.count)

    def cancel(self):
        self.cancelled = True

    def close(self):
        self.closed = True


def counting_image(count):
    image = ismrmrd.Image(head=ismrmrd.ImageHeader(data_type=3), data=np.full((1, 1, 2, 3), count, np.uint32))
    image.meta = ismrmrd.Meta({"count": str(count)})
    return image


@dataclass
class Running:
    """A server in a thread of its own."""

    server: Server
    loop: asyncio.AbstractEventLoop
    chains: list
    gate: threading.Event
    """Of all its chains; open unless a test closes it, and at the latest when the server has begun to stop."""

    @property
    def port(self):
        return self.server.port

    def session(self):
        """The only session at this moment, when it has begun."""
        while not any(self.server._sessions.values()):
            time.sleep(0.005)
        (session,) = self.server._sessions.values()
        return session


@contextmanager
def running_server(start_scan=None, plan=None, observers=(), select=toy_select, **settings):
    chains, gate = [], threading.Event()
    gate.set()

    def start_toy(selection, header, log):
        chains.append(ToyChain(selection, header, log, gate))
        return chains[-1]

    settings = ServerSettings(port=0, **{"drain_s": 5.0, "grace_s": 0.5, "idle_timeout_s": 20.0, **settings})
    server = Server(settings, select, start_scan or start_toy, plan, observers)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield Running(server, loop, chains, gate)
    finally:
        stopping = asyncio.run_coroutine_threadsafe(server.stop(), loop)
        gate.set()
        stopping.result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def serve():
    """`with serve(queue_bytes=...) as running:`, a toy server with these settings."""
    return running_server


@pytest.fixture
def readout():
    def make(value=1, channels=2, samples=5):
        return ismrmrd.Acquisition.from_array(np.full((channels, samples), value, np.complex64))

    return make


@pytest.fixture
def toy_chains(monkeypatch):
    """The toy pipeline in place of the real ones; the list of its chains."""
    chains = []

    def start_scan(*scan):
        chains.append(ToyChain(*scan))
        return chains[-1]

    monkeypatch.setattr("spokestream.pipelines.selection.select", lambda text, default: ToySelection(default))
    monkeypatch.setattr("spokestream.pipelines.selection.start_scan", start_scan)
    return chains


class Peer:
    """A client that says exactly what a test wants, broken things included."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.wire = wire.Connection(wire.Role.CLIENT)

    def raw(self, data):
        self.socket.sendall(data)
        return self

    def say(self, *events):
        for event in events:
            for part in self.wire.send(event):
                self.socket.sendall(part)
        return self

    def opening(self):
        return self.say(wire.ConfigFile("toy"), wire.Header("<header/>"))

    def hear(self, until=wire.Close, *, stays=False):
        """Everything said up to the first event of a type; fails when the server hangs up before.

        As clients do, it hangs up after a CLOSE unless it stays: the server would wait for that.
        """
        heard = []
        while not heard or not any(isinstance(event, until) for event in heard):
            heard += self.wire.receive_data(self.socket.recv(1 << 16))
        if not stays and any(isinstance(event, wire.Close) for event in heard):
            self.hang_up()
        return heard

    def hang_up(self):
        self.socket.close()


@pytest.fixture
def connect():
    peers = []

    def make(port, host="127.0.0.1"):
        peers.append(Peer(port, host))
        return peers[-1]

    yield make
    for peer in peers:
        peer.hang_up()


@pytest.fixture
def eventually():
    """Wait for another thread to make something true; a test that waits in vain runs into the suite's timeout."""

    def wait(condition):
        while not condition():
            time.sleep(0.005)

    return wait
