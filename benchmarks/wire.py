"""How fast readouts are decoded and taken: python benchmarks/wire.py [--quick].

Readouts of 34 coils and 700 samples with a trajectory are read by our codec, which decodes them or passes them on as
they came, and by the reader of the `ismrmrd` package, beside a plain copy of the same bytes. The methods run
alternately. Then a process sends a simulated scan of as many coils and samples over the loopback. The codec decodes
what comes, and one after another the gadgets that take every readout are added.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import io
import itertools
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd.serialization import ProtocolDeserializer
from measure import alternately, print_machine, ratio
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.pipelines import wire
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

COILS, SAMPLES = 34, 700
SENDER = """
import socket, sys
stream = sys.stdin.buffer.read()
socket.create_connection(("127.0.0.1", int(sys.argv[1]))).sendall(stream)
"""
"""The sender: it has all bytes before it connects."""
PIPELINE = "mrf_t1ff_net"
CHUNK = 1 << 19
OPENING = wire.ConfigFile("any"), wire.Header("<header/>")


def message() -> bytes:
    """One readout as bytes."""
    samples = np.random.default_rng(1).standard_normal((COILS, 2 * SAMPLES), np.float32).view(np.complex64)
    client = wire.Connection(wire.Role.CLIENT)
    for event in OPENING:
        client.send(event)
    readout = ismrmrd.Acquisition.from_array(samples, np.zeros((SAMPLES, 2), np.float32))
    return b"".join(client.send(wire.Data(readout)))


def connection(*, decodes: bool = True) -> wire.Connection:
    """A connection on which configuration and header have come."""
    server, client = wire.Connection(wire.Role.SERVER, decodes=decodes), wire.Connection(wire.Role.CLIENT)
    for event in OPENING:
        server.receive_data(b"".join(client.send(event)))
    return server


def by_codec(stream: bytes, decodes: bool) -> None:
    server, received = connection(decodes=decodes), memoryview(stream)
    for start in range(0, len(stream), CHUNK):
        server.receive_data(received[start : start + CHUNK])


def by_ismrmrd(stream: bytes) -> None:
    try:
        for _ in ProtocolDeserializer(io.BytesIO(stream)).deserialize():
            pass
    except EOFError:
        pass  # its end of a stream without CLOSE


def simulated_scan(matrix: int) -> tuple[str, bytes, int]:
    """The header of a simulated scan, its readouts as bytes, and their number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        simulate_scan(path, SimulationSettings(matrix=matrix, coils=COILS))
        scan = read_scan(path)
        client = wire.Connection(wire.Role.CLIENT)
        for event in OPENING:
            client.send(event)
        readouts = [b"".join(client.send(wire.Data(readout))) for readout in scan]
        return scan.xml, b"".join(readouts), len(readouts)


def head(xml: str) -> list[Gadget[Any, Any]]:
    """The gadgets of a chain that take every readout."""
    gadgets = start_scan(select(PIPELINE), xml, logging.getLogger("spokestream")).gadgets
    last = next(i for i, gadget in enumerate(gadgets) if isinstance(gadget, SpokeAccumulation))
    return gadgets[: last + 1]


def coming(stream: bytes) -> Iterator[Any]:
    """The readouts of the stream, sent by a process over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        sender = subprocess.Popen([sys.executable, "-c", SENDER, port], stdin=subprocess.PIPE)
        assert sender.stdin
        with sender.stdin:
            sender.stdin.write(stream)
        receiver, _ = listener.accept()
    with sender, receiver:
        server, left = connection(), len(stream)
        while left:
            data = receiver.recv(CHUNK)
            left -= len(data)
            for event in server.receive_data(data):
                assert isinstance(event, wire.Data)
                yield event.item


def seconds_of(chain: Chain, items: Iterator[Any]) -> float:
    """The seconds until a chain has taken all items, from the first one on."""
    first = next(items)
    begin = time.perf_counter()
    for _ in run_chain(chain, itertools.chain([first], items)):
        pass
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few readouts, to test that it runs")
    n, rounds, matrix = (20, 1, 48) if parser.parse_args().quick else (1000, 7, SAMPLES // 2)
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console()
    print_machine(console, 1, ("numpy", "ismrmrd"))
    stream = message() * n
    original = np.frombuffer(stream, np.uint8)
    copied = np.zeros_like(original)

    methods = {
        "a copy of the bytes": partial(np.copyto, copied, original),
        "our codec, decoded": partial(by_codec, stream, True),
        "our codec, passed on": partial(by_codec, stream, False),
        "ismrmrd's reader": partial(by_ismrmrd, stream),
    }
    seconds = alternately(methods, rounds, 1)
    table = Table(title=f"Readouts of {COILS} coils and {SAMPLES} samples from memory")
    for heading in ("method", "readouts a second", "GB/s", "time, of our codec"):
        table.add_column(heading, justify="right")
    for name, times in seconds.items():
        fastest = min(times)
        table.add_row(
            name,
            f"{n / fastest:,.0f}",
            f"{len(stream) / fastest / 1e9:.1f}",
            f"{ratio(times, seconds['our codec, decoded']):.2f}",
        )
    console.print(table)
    console.print(streamed(*simulated_scan(matrix), rounds))


def streamed(xml: str, scan: bytes, n: int, rounds: int) -> Table:
    """The readouts a second of a scan of n readouts that comes over the loopback, by the gadgets that take them."""
    table = Table(title=f"Readouts of {COILS} coils over the loopback, through the head of {PIPELINE}")
    table.add_column("through")
    table.add_column("readouts a second", justify="right")
    names = ["the codec", *(f"and {type(gadget).__name__}" for gadget in head(xml))]
    for number, name in enumerate(names):
        seconds = [seconds_of(Chain(head(xml)[:number]), coming(scan)) for _ in range(rounds)]
        table.add_row(name, f"{n / min(seconds):,.0f}")
    return table


if __name__ == "__main__":
    main()
