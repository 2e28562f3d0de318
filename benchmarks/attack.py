"""Tries to starve a node of memory or time, while a bystander's scans go on.

`python benchmarks/attack.py --mutations 10000` starts a node with 2 GiB, runs every situation, then sessions with
random changes, and prints what the node answered, its largest memory and the delay of the bystander's slowest scan. The
exit code is 1 if the memory exceeds the budget by more than 20 %, if a traceback is in the log, or if a good scan
fails.
"""

import argparse
import json
import re
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import ismrmrd
import numpy as np
from measure import MemoryWatch, started_node

from spokestream.pipelines import wire
from spokestream.pipelines.client import ClientError, scanner_pace, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

BUDGET = 2 << 30
MARGIN = 1.2
AT_ONCE, BATCH = 3, 60
"""Changed sessions that are sent at the same time, and that are made together."""
TRAIN = """
ti_ms = 8.32
recovery_ms = 500.0
[[train]]
spokes = 56
flip_angle_deg = 6.0
te_ms = 2.39
tr_ms = 3.52
[[train]]
spokes = 48
flip_angle_deg = 12.0
te_ms = 3.45
tr_ms = 4.58
"""


class Node:
    """A node, whose memory is sampled."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "node.log"
        options = ["--memory", "2GiB", "--threads", "1", "--drain-s", "1", "--max-sessions", "8", "--http", "0"]
        self.process, self.port = started_node(self.log, *options)
        self.memory = MemoryWatch(self.process.pid)


class Bystander(threading.Thread):
    """Sends one good scan of the default sequence after the other at the scanner's pace, and notes how long each takes.

    A slice takes seven seconds, as those of patients do; most of the work is done while it is acquired.
    """

    def __init__(self, node: Node, header: str, readouts: list[ismrmrd.Acquisition]) -> None:
        super().__init__(daemon=True)
        self.node, self.scan, self.pace = node, (header, readouts), scanner_pace(readouts, 1)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.over = threading.Event()

    def once(self) -> float:
        """The seconds that one scan takes. Raises ClientError."""
        start = time.monotonic()
        send_scan(*self.scan, "127.0.0.1", self.node.port, "mrf_t1ff", pace=self.pace, timeout_s=120)
        return time.monotonic() - start

    def run(self) -> None:
        """Send scans until it is over."""
        while not self.over.is_set():
            try:
                self.seconds.append(self.once())
            except ClientError as error:
                self.failures.append(str(error))
            time.sleep(0.1)

    def wait_for(self, n: int) -> None:
        """Wait until so many scans have ended well, or the bystander has failed."""
        while len(self.seconds) < n and not self.failures:
            time.sleep(0.1)


def scan_of(folder: Path, settings: SimulationSettings) -> tuple[str, list[ismrmrd.Acquisition]]:
    """The header and the readouts of a simulated scan."""
    simulate_scan(folder / "scan.h5", settings)
    scan = read_scan(folder / "scan.h5")
    return scan.xml, list(scan)


def converse(port: int, chunks: list[bytes], seconds: float = 120.0) -> str:
    """Send bytes, then listen: the last sentence of the node, or the number of images."""
    connection, events = wire.Connection(wire.Role.CLIENT), []
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.settimeout(seconds)

        def speak() -> None:
            with suppress(OSError):
                for chunk in chunks:
                    sock.sendall(chunk)
                sock.shutdown(socket.SHUT_WR)

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            while connection.their_state is wire.State.STREAMING:
                events += connection.receive_data(sock.recv(1 << 18))
        except TimeoutError:
            return f"NO ANSWER in {seconds:g} s"
        except (OSError, wire.RemoteProtocolError) as error:
            events.append(wire.Text(f"hung up: {type(error).__name__}"))
        finally:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            speaker.join()
    texts = [event.text.strip() for event in events if isinstance(event, wire.Text)]
    return next((text for text in reversed(texts) if text.startswith("ERROR")), texts[-1] if texts else "") or (
        f"{sum(isinstance(event, wire.Data) for event in events)} images"
    )


def opening(header: str, config: str = "mrf_t1ff") -> list[bytes]:
    client = wire.Connection(wire.Role.CLIENT)
    return [
        b"".join(client.send(event))
        for event in (wire.ConfigText(config) if "<" in config else wire.ConfigFile(config), wire.Header(header))
    ]


def acquisition(channels: int, samples: int, flags: int = 0, body: bytes | None = None) -> bytes:
    head = ismrmrd.AcquisitionHeader(active_channels=channels, number_of_samples=samples)
    head.flags, head.sample_time_us = flags, 2.0
    return struct.pack("<H", 1008) + bytes(head) + (bytes(8 * channels * samples) if body is None else body)


def situations(header: str) -> dict[str, Callable[[int], str]]:
    """What is tried, given the port of the node; each returns the sentence that it was answered with."""
    noise = 1 << (ismrmrd.ACQ_IS_NOISE_MEASUREMENT - 1)
    nhlbi = 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
    close = struct.pack("<H", 4)
    trains = re.compile(r"<(\w+:)?sequenceParameters>.*</(\w+:)?sequenceParameters>", re.DOTALL)
    frames = re.compile(r"(mrf_spokes_per_frame</(?:\w+:)?name>\s*<(?:\w+:)?value>)[^<]*")
    matrix = re.compile(r"(<(?:\w+:)?matrixSize>\s*<(?:\w+:)?x>)\d+(</(?:\w+:)?x>\s*<(?:\w+:)?y>)\d+")
    spoke = acquisition(2, 64)
    one = "<TR>10</TR><TE>2.39</TE><flipAngle_deg>9</flipAngle_deg>"
    long = frames.sub(r"\g<1>1", trains.sub(f"<sequenceParameters>{one * 20_000}</sequenceParameters>", header))
    large = matrix.sub(r"\g<1>1024\g<2>1024", header)
    by_frames = '<configuration pipeline="mrf_t1ff"><property name="basis" value="frames"/></configuration>'
    encoding = re.search(r"<(?:\w+:)?encoding>.*?</(?:\w+:)?encoding>", header, re.DOTALL)
    assert encoding
    two = header.replace(encoding[0], 2 * encoding[0])
    query = b"".join(wire.Connection(wire.Role.CLIENT).send(wire.Query(1, "gadgetron::info")))
    nested = json.dumps({"parameters": {"p": [[]] * 200_000}})
    deep = json.dumps({"parameters": {"virtual_coils": "?"}}).replace('"?"', "[" * 900 + "]" * 900)
    end = header.rindex("</")
    wide = header[:end] + f"<!-- {chr(0x1F600)} -->" + "<a/>" * 290_000 + header[end:]
    attributes = ("<ismrmrdMeta>" + "<meta><name/><value/></meta>" * 500_000 + "</ismrmrdMeta>").encode()
    image = ismrmrd.ImageHeader(data_type=5, channels=1)
    image.matrix_size = (1, 1, 1)
    images = struct.pack("<H", 1022) + bytes(image) + struct.pack("<Q", len(attributes)) + attributes + bytes(4)
    spread = f'<configuration xmlns="{"u" * 500_000}">' + "<a/>" * 100_000 + "</configuration>"
    bomb = struct.pack("<QfB", 2 * 120 * 65_000, 1.0, 1) + bytes(120 * 65_000 // 4)

    def crowd(port: int) -> str:
        """1,000 connections that announce a header of 4 MiB and send 1 kB of it."""
        held, answers = [], Counter[str]()
        for _ in range(1000):
            with suppress(OSError):
                sock = socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.2", 0))  # not the bystander's
                sock.sendall(opening(header)[0] + struct.pack("<HI", 3, 4 << 20) + bytes(1000))
                held.append(sock)
        time.sleep(1)
        for sock in held:
            sock.settimeout(0.01)
            with suppress(OSError):
                answers[re.sub(rb"[^ -~]", b"", sock.recv(200)).decode()] += 1
            sock.close()
        text, n = (answers.most_common(1) or [("", 0)])[0]
        return f"{n} of {len(held)} hear: {text}"

    return {
        "1e8 spokes per frame": lambda port: converse(port, [*opening(frames.sub(r"\g<1>1e8", header)), spoke, close]),
        "20,000 frames of 1 spoke": lambda port: converse(port, [*opening(long), spoke, close]),
        "noise of 16,000 channels": lambda port: converse(port, [*opening(header), acquisition(16_000, 64, noise)]),
        "images of 1024 pixels": lambda port: converse(port, [*opening(large), acquisition(8, 2048), close]),
        "frames of 1024 pixels": lambda port: converse(port, [*opening(large, by_frames), acquisition(8, 2048), close]),
        "noise of 1,024 channels": lambda port: converse(port, [*opening(header), acquisition(1024, 64, noise), close]),
        "compressed, 2 MB for 62 MB": lambda port: converse(
            port, [*opening(header), acquisition(120, 65_000, nhlbi, struct.pack("<I", len(bomb)) + bomb), close]
        ),
        "readouts without a spoke, 200 MB": lambda port: converse(
            port, [*opening(two), *[acquisition(32, 4096, noise)] * 200, close]
        ),
        "a header of 4 MB of elements": lambda port: converse(
            port, [*opening("<ismrmrdHeader>" + "<a/>" * 1_000_000 + "</ismrmrdHeader>"), spoke, close]
        ),
        "a header of 4 MB in punycode": lambda port: converse(
            port, [*opening('<?xml version="1.0" encoding="punycode"?>-' + "A" * 4_000_000), spoke, close]
        ),
        "a namespace of 500 kB for 100,000 elements": lambda port: converse(port, [opening(header, spread)[0]]),
        "500,000 empty texts": lambda port: converse(port, [struct.pack("<HI", 5, 0) * 500_000, close]),
        "50,000 queries": lambda port: converse(port, [query * 50_000, close]),
        "parameters of 800 kB, twenty times": lambda port: converse(
            port, [struct.pack("<HI", 5, len(nested)) + nested.encode()] * 20
        ),
        "images with 14 MB of one attribute": lambda port: converse(
            port, [*opening(header), *[images] * 5, spoke, close]
        ),
        "DICOM files of 60 MB, five times": lambda port: converse(
            port, [*opening(header), *[struct.pack("<HI", 1012, 60_000_000) + bytes(60_000_000)] * 5, spoke, close]
        ),
        "a parameter of 900 lists in each other": lambda port: converse(
            port, [*opening(header), struct.pack("<HI", 5, len(deep)) + deep.encode(), spoke, close]
        ),
        "headers of 4 MB, thirty times": lambda port: [converse(port, opening(wide)) for _ in range(30)][-1],
        "a client that sends nothing and hangs up": lambda port: converse(port, []),
        "1,000 connections of 1 kB": crowd,
    }


def mutated(session: bytes, rng: np.random.Generator) -> bytes:
    """The session with some bytes changed, removed, repeated or cut off."""
    out = bytearray(session)
    for _ in range(int(rng.integers(1, 4))):
        at, n = int(rng.integers(len(out))), int(rng.integers(1, 65))
        match int(rng.integers(4)):
            case 0:
                out[at] = int(rng.integers(256))
            case 1:
                del out[at : at + n]
            case 2:
                out[at:at] = out[at : at + n]
            case _:
                out[at : at + n] = rng.bytes(n)
    return bytes(out[: int(rng.integers(1, len(out) + 1))] if rng.random() < 0.2 else out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.toml").write_text(TRAIN)
        short = SimulationSettings(matrix=32, coils=2, sequence=str(folder / "train.toml"))
        (header, readouts), patient = (
            scan_of(folder, settings) for settings in (short, SimulationSettings(matrix=64, coils=4))
        )
        client = wire.Connection(wire.Role.CLIENT)
        script = [wire.ConfigFile("mrf_t1ff"), wire.Header(header), *map(wire.Data, readouts), wire.Close()]
        session = b"".join(bytes(part) for event in script for part in client.send(event))
        node = Node(folder)
        # in processes, because their work must not delay the bystander, which is a thread of this one
        clients = ProcessPoolExecutor(AT_ONCE, get_context("spawn"))
        try:
            list(clients.map(time.sleep, AT_ONCE * [1]))  # they have started before anything is measured
            bystander = Bystander(node, *patient)
            quiet = statistics.median(bystander.once() for _ in range(5))
            bystander.start()
            print(f"{'situation':42} {'RSS':>9} {'delay':>8}  answer")
            worst = 0

            def report(what: str, run: Callable[[], str]) -> None:
                nonlocal worst
                node.memory.largest, n = 0, len(bystander.seconds)
                answer = run()
                time.sleep(0.3)
                bystander.wait_for(n + 1)  # the one that goes on now ends after it
                delay = max(bystander.seconds[n:] or [quiet]) - quiet
                worst = max(worst, node.memory.largest)
                print(f"{what:42} {node.memory.largest / 2**20:5.0f} MiB {delay:6.2f} s  {answer[:150]}", flush=True)

            for what, attack in situations(header).items():
                report(what, lambda attack=attack: attack(node.port))

            def mutations() -> str:
                answers, n = Counter[str](), arguments.mutations
                for first in range(0, n, BATCH):
                    batch = [[mutated(session, rng)] for _ in range(first, min(first + BATCH, n))]
                    answers.update(text[:24] for text in clients.map(partial(converse, node.port), batch))
                return ", ".join(f"{n} x {text}" for text, n in answers.most_common(4))

            report(f"{arguments.mutations} sessions with changes", mutations)
            bystander.over.set()
            bystander.join()
            faults = [f"the bystander failed: {text}" for text in bystander.failures[:3]]
            faults += [f"memory of {worst / 2**20:.0f} MiB"] if worst > MARGIN * BUDGET else []
            try:
                bystander.once()
            except ClientError as error:
                faults.append(f"a good scan afterwards failed: {error}")
            node.process.terminate()
            code = node.process.wait(60)
            faults += [f"exit code {code}"] if code else []
            faults += ["a traceback is in the log"] if "Traceback" in node.log.read_text() else []
            print(f"largest memory {worst / 2**20:.0f} MiB of {BUDGET >> 20}; a quiet scan takes {quiet:.2f} s")
            late = np.asarray(bystander.seconds) - quiet
            print(f"of the bystander's {len(late)} scans, 99 % were delayed by at most {np.quantile(late, 0.99):.2f} s")
            by_quarter = ", ".join(f"{quarter.max():.2f}" for quarter in np.array_split(late, 4) if len(quarter))
            print(f"the longest delays of the four quarters of this time were {by_quarter} s")
            print("\n".join(f"FAULT: {fault}" for fault in faults) or "no faults")
            return 1 if faults else 0
        finally:
            node.process.kill()  # first, so that no client waits for an answer
            node.process.wait()
            clients.shutdown()


if __name__ == "__main__":
    sys.exit(main())
