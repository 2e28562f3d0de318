"""How fast readouts are decoded: python benchmarks/wire.py [--quick].

Readouts of 34 coils and 700 samples with a trajectory are read by our codec, which decodes them or passes them on as
they came, and by the reader of the `ismrmrd` package, beside a plain copy of the same bytes. The methods run
alternately. Then a thread sends the readouts over the loopback, and the codec decodes what comes.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import io
import socket
import threading
import time
from functools import partial

import ismrmrd
import numpy as np
from ismrmrd.serialization import ProtocolDeserializer
from measure import alternately, print_machine, ratio
from rich.console import Console
from rich.table import Table

from spokestream.pipelines import wire

COILS, SAMPLES = 34, 700
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


def over_loopback(stream: bytes) -> float:
    """The seconds until all readouts of the stream have come over the loopback and are decoded."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    with sender, receiver:
        thread = threading.Thread(target=sender.sendall, args=[stream])
        server, left = connection(), len(stream)
        begin = time.perf_counter()
        thread.start()
        while left:
            data = receiver.recv(CHUNK)
            left -= len(data)
            server.receive_data(data)
        seconds = time.perf_counter() - begin
        thread.join()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few readouts, to test that it runs")
    n, rounds = (20, 1) if parser.parse_args().quick else (1000, 7)
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
    fastest = min(over_loopback(stream) for _ in range(rounds))
    console.print(f"Over the loopback, sent by a thread and decoded: {n / fastest:,.0f} readouts a second.")


if __name__ == "__main__":
    main()
