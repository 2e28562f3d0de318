"""Many scans, some of them broken, on one node: python benchmarks/soak.py [--scans 500] [--clients 8] [--quick].

Clients send scans as fast as they can. Every fifth session misbehaves. A good scan must give the pixels that it gave
alone, and no session may hang. At the end, the node must have the memory, descriptors, threads and processes that it
had after the first tenth of the sessions. Each time before the node is looked at, every scan is sent as often at once
as there are processes that it keeps: their memory and threads depend on the scans that they have seen, and one that had
to be killed is replaced by one that has seen none. The exit code is 1 if anything is wrong.
"""

import argparse
import hashlib
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path

import ismrmrd
import numpy as np
from measure import print_machine, processes, resident_bytes, started_node
from misbehaviour import MISBEHAVIOURS, Answer, HangError, Messages, heard_after, messages_of
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.node.memory.budget import bytes_of
from spokestream.pipelines.node.workers.processes import processes_kept
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

GOOD, ALONE = "good", "good, alone"
SCANS = (
    ("mrf_t1ff_net", SimulationSettings(matrix=32, coils=2, seed=1)),
    ("mrf_t1ff", SimulationSettings(matrix=40, coils=3, seed=2)),
    ("mrf_t1ff_net", SimulationSettings(matrix=64, coils=6, seed=3)),
    ("mrf_t1ff", SimulationSettings(matrix=48, coils=5, seed=4)),
    ("mrf_t1t2", SimulationSettings(anatomy="brain", matrix=48, coils=3, seed=5, sequence="fisp-fang-576")),
)
MEMORY = "2GiB"
MOST_S = 60.0
GROWTH = 1.05
"""Largest memory at the end over that after the first mark."""
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio's executor starts at most, each when it is needed for the first time."""


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    sessions: int
    clients: int
    """Sessions at once."""
    scans: int = len(SCANS)
    marks: tuple[float, ...] = (0.1, 0.4, 0.7, 1.0)
    """Fractions of the sessions after which all clients pause and the node is looked at."""
    deadline_s: float = 5.0
    still_s: float = 3.0
    """Time for which the node must not change before it is looked at."""

    @property
    def at_once(self) -> int:
        """Sessions that the node serves at once, and as many that may wait."""
        return 2 * self.clients


QUICK = Size(sessions=5, clients=2, scans=1, marks=(0.4, 1.0), deadline_s=1.0, still_s=0.3)


@dataclass(frozen=True)
class Holdings:
    """What the processes of a node hold together."""

    rss_mib: float
    server_mib: float
    """The part of it that is the server's."""
    descriptors: int
    processes: int
    threads: int
    """Those of the server."""
    scan_threads: int
    """Those of the processes for scans."""


@dataclass
class Ended:
    """How a session ended: its kind, what its client heard, its time, and what was wrong with it, if anything."""

    kind: str
    heard: str
    seconds: float
    fault: str = ""
    digest: str = ""
    """That of the maps; empty if there are none."""


def holdings(pid: int) -> Holdings:
    """What the node holds now."""
    running = processes(pid)
    resident = [resident_bytes(one) / 2**20 for one in running] or [0.0]
    threads = [entries(one, "task") for one in running] or [0]
    descriptors = sum(entries(one, "fd") for one in running)
    return Holdings(sum(resident), resident[0], descriptors, len(running), threads[0], sum(threads[1:]))


def entries(pid: int, what: str) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())
    except OSError:
        return 0


def holdings_at_rest(pid: int, still_s: float) -> Holdings:
    """What the node holds when it has not changed for some seconds, or after `MOST_S`."""
    begin = since = time.monotonic()
    found = holdings(pid)
    while time.monotonic() - since < still_s and time.monotonic() - begin < MOST_S:
        time.sleep(0.2)
        before, found = found, holdings(pid)
        if astuple(before)[2:] != astuple(found)[2:]:
            since = time.monotonic()
    return found


def digest(images: list[ismrmrd.Image]) -> str:
    """A digest of all pixels, with series and slice of every image."""
    found = hashlib.sha256()
    for image in images:
        found.update(f"{image.image_series_index} {image.slice} {image.data.shape} {image.data.dtype}".encode())
        found.update(np.ascontiguousarray(image.data).tobytes())
    return found.hexdigest()


def plan(n: int, n_scans: int, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """The kind of every session and the index of its scan; one of five misbehaves, all ways equally often."""
    ways: list[str] = []
    for begin in range(0, n, 5):
        bad = begin + int(rng.integers(5))
        for i in range(begin, min(begin + 5, n)):
            ways = ways or [str(way) for way in rng.permutation(list(MISBEHAVIOURS))]
            yield (ways.pop() if i == bad else GOOD), int(rng.integers(n_scans))


def run(port: int, kind: str, scan: Messages, expected: str, seed: int, limit_s: float) -> Ended:
    """One session, and whether its client heard what it must. Without an expected digest, every map is right."""
    begin = time.monotonic()
    answer: Answer | None
    try:
        with socket.create_connection(("127.0.0.1", port), limit_s) as sock:
            if kind in (GOOD, ALONE):
                answer = heard_after(sock, scan.all, limit_s, leaves=False)
            else:
                answer = MISBEHAVIOURS[kind](sock, scan, np.random.default_rng(seed), limit_s)
    except (HangError, TimeoutError):
        return Ended(kind, "", time.monotonic() - begin, "hang")
    except OSError as error:
        return Ended(kind, "", time.monotonic() - begin, f"failed ({error})")
    seconds = time.monotonic() - begin
    if answer is None:
        return Ended(kind, "(left)", seconds)
    found = digest(answer.images) if answer.images else ""
    heard = answer.error or ("maps" if answer.closed and found else ", ".join(answer.texts)) or "(hung up)"
    return Ended(kind, heard, seconds, fault(kind, answer, found, expected), found)


def fault(kind: str, answer: Answer, found: str, expected: str) -> str:
    """What is wrong with an answer; empty if it is as it must be."""
    if kind in (GOOD, ALONE, "slow readouts"):
        if answer.error or not answer.closed or not found:
            return "no maps"
        return "wrong digest" if found != (expected or found) else ""
    if kind == "a query of junk":
        return "" if answer.texts == ["Unknown query"] else "wrong answer"
    # a client that has left hears nothing if its last bytes were not read yet
    unheard = kind == "cut off in a message" and not answer.closed and not found
    return "" if answer.error or unheard else "no sentence of refusal"


def simulated(folder: Path, n: int) -> list[Messages]:
    """The messages of the first `n` scans."""
    found = []
    for i, (pipeline, settings) in enumerate(SCANS[:n]):
        path = folder / f"scan{i}.h5"
        simulate_scan(path, settings)
        scan = read_scan(path)
        found.append(messages_of(pipeline, scan.xml, list(scan)))
    return found


def sessions_table(ended: list[Ended]) -> Table:
    """How many sessions of every kind there were, what they heard, and their faults."""
    by_kind = defaultdict(list)
    for one in ended:
        by_kind[one.kind].append(one)
    table = Table(title=f"{len(ended)} sessions")
    for heading in ("session", "number", "faults", "slowest, s", "heard most often"):
        table.add_column(heading, no_wrap=True, min_width=len(heading))
    for kind in [GOOD, ALONE, *MISBEHAVIOURS]:
        if found := by_kind[kind]:
            heard = Counter(re.sub(r"\d+", "N", one.heard) for one in found).most_common(1)[0][0]
            faults, slowest = sum(bool(one.fault) for one in found), max(one.seconds for one in found)
            table.add_row(kind, str(len(found)), str(faults), f"{slowest:.1f}", heard.strip()[:18])
    return table


def marks_table(marks: dict[int, Holdings]) -> Table:
    """What the node held at rest."""
    table = Table(title="The node at rest, all its processes")
    for heading in ("sessions", "RSS, MiB", "server", "files", "processes", "threads", "scan threads"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=4)
    for sessions, found in marks.items():
        rss_mib, server_mib, *counts = astuple(found)
        table.add_row(str(sessions), f"{rss_mib:.0f}", f"{server_mib:.0f}", *map(str, counts))
    return table


def growth(first: Holdings, last: Holdings, memory: bool) -> list[str]:
    """What the node holds more, or other, than it did."""
    found = [
        f"{what}: {getattr(first, what)} at the beginning, {getattr(last, what)} at the end"
        for what in ("descriptors", "processes", "scan_threads")
        if getattr(first, what) != getattr(last, what)
    ]
    explained = (
        POOL + last.processes
    )  # one thread for each process: the server's own, and one that listens to each other
    if last.threads > explained:
        found.append(f"{last.threads} threads of the server, of which {explained} are explained")
    if memory and last.rss_mib > GROWTH * first.rss_mib:
        found.append(f"RSS grew from {first.rss_mib:.0f} to {last.rss_mib:.0f} MiB")
    return found


def soak(
    port: int, pid: int, scans: list[Messages], size: Size, seed: int, limit_s: float, console: Console
) -> tuple[list[Ended], dict[int, Holdings]]:
    """Run all sessions; returns how they ended, and what the node held at rest after each of the marks."""
    alone = [run(port, ALONE, scan, "", 0, limit_s) for scan in scans]
    expected = [one.digest for one in alone]
    sessions = list(plan(size.sessions, len(scans), np.random.default_rng(seed)))
    ended: list[Ended] = []
    marks: dict[int, Holdings] = {}
    kept = processes_kept(bytes_of(MEMORY), size.at_once)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(size.clients) as clients:
        bar, done = progress.add_task("Sessions", total=size.sessions), 0
        for mark in size.marks:
            upto = round(mark * size.sessions)
            running = [
                clients.submit(run, port, kind, scans[k], expected[k], seed + i, limit_s)
                for i, (kind, k) in enumerate(sessions[done:upto], done)
            ]
            for future in as_completed(running):
                ended.append(one := future.result())
                progress.advance(bar)
                if one.fault:
                    console.print(f"FAULT: {one.kind}: {one.fault} {one.heard}", highlight=False, markup=False)
            done = upto
            holdings_at_rest(pid, size.still_s)
            for one in zip(scans, expected, strict=True):
                at_once = [clients.submit(run, port, ALONE, *one, 0, limit_s) for _ in range(kept)]
                ended += [future.result() for future in at_once]
            marks[upto] = holdings_at_rest(pid, size.still_s)
    return ended, marks


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=500, help="sessions, of which one in five misbehaves [500]")
    parser.add_argument("--clients", type=int, default=8, help="sessions at once [8]")
    parser.add_argument("--seed", type=int, default=0, help="of the sequence of sessions [0]")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a session hangs [120]")
    parser.add_argument("--quick", action="store_true", help="a few sessions, to test that it runs")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else Size(chosen.scans, chosen.clients)
    console = Console()
    print_machine(console, 1, ("numpy", "torch", "finufft"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = simulated(folder, size.scans)
        log = folder / "node.log"
        deadlines = ("first-byte-s", "opening-s", "idle-timeout-s", "drain-s")
        options = [f"--memory={MEMORY}", "--threads=1", f"--record={folder / 'recordings'}", "--record-gib=0.2"]
        options += [f"--{name}={size.at_once}" for name in ("max-sessions", "max-waiting")]
        node, port = started_node(log, *options, *(f"--{name}={size.deadline_s}" for name in deadlines))
        try:
            ended, marks = soak(port, node.pid, scans, size, chosen.seed, chosen.limit, console)
            node.terminate()
            code = node.wait(60)
        finally:
            node.kill()
            node.wait()
        first, *_, last = marks.values()
        counts = Counter(one.fault for one in ended if one.fault)
        faults = [f"{n} x {fault}" for fault, n in counts.items()]
        faults += growth(first, last, memory=not chosen.quick)
        faults += [f"exit code {code}"] if code else []
        faults += ["a defect is in the log"] if re.search("Traceback|a defect", log.read_text()) else []
    console.print(sessions_table(ended))
    console.print(marks_table(marks))
    console.print(f"hangs {counts['hang']}, wrong digests {counts['wrong digest']}", highlight=False)
    console.print("\n".join(f"FAULT: {fault}" for fault in faults) or "no faults", highlight=False, markup=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
