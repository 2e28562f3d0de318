"""What a node costs: python benchmarks/node_cost.py [--quick] [--scanners 1,4,10] [--provisional 128].

A node in processes of its own serves simulated slices at the scanner's pace, from one scanner or several at once. The
table shows the processor time of all its processes for a slice, beside that of the chain alone in one process, and the
time from the last spoke to the last map. With provisional maps, it also shows when the first of them come, counted from
the first spoke. A node that has just started serves one scan that is not counted.

The chain alone and the node take turns. Both get the readouts at the scanner's pace: between them caches lose what the
chain used, which takes a sixth more of its processor time than readouts at once. Both rest before each turn: some
virtual machines give unused memory back to their host, which takes up to half a second to get again.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ismrmrd
import numpy as np
from measure import print_machine, processes, started_node
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.stored_maps.provisional import is_provisional
from spokestream.pipelines import wire
from spokestream.pipelines.client import Reply, scanner_pace, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

THREADS = 2
ROUNDS = 3
REST_S = 5.0


class Node:
    """A node with its processes."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process, self.port = process, port

    def seconds(self) -> dict[int, float]:
        """The processor time so far of every process."""
        found = {}
        for pid in processes(self._process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def rest(self) -> None:
        """Wait until the processes that are started ahead have started: the node uses a core for less than 5 %."""
        before = sum(self.seconds().values())
        while True:
            time.sleep(1)
            now = sum(self.seconds().values())
            if now - before < 0.05:
                return
            before = now


@contextmanager
def running_node(folder: Path, n_scans: int) -> Iterator[Node]:
    process, port = started_node(folder / "node.log", "--threads", str(THREADS), "--max-sessions", str(n_scans))
    try:
        yield Node(process, port)
    finally:
        process.terminate()
        process.wait()


def chain_alone(pipeline: str, xml: str, readouts: list[ismrmrd.Acquisition]) -> float:
    """The processor time of the chain in this process, at the scanner's pace."""
    pace = scanner_pace(readouts, 1)

    def paced() -> Iterator[ismrmrd.Acquisition]:
        due = time.perf_counter()
        for readout, pause in zip(readouts, pace, strict=True):
            time.sleep(max(0.0, due - time.perf_counter()))
            yield readout
            due += pause

    begin = time.process_time()
    for _ in run_chain(start_scan(select(pipeline), xml, logging.getLogger("spokestream")), paced()):
        pass
    return time.process_time() - begin


class Watch:
    """Notes when the first spoke of a scan goes and when its first provisional map comes."""

    def __init__(self, readouts: list[ismrmrd.Acquisition]) -> None:
        self._readouts = readouts
        self._first_spoke = 0.0
        self.first_map = math.nan
        """Seconds from the first spoke to the first provisional map."""

    def readouts(self) -> Iterator[ismrmrd.Acquisition]:
        """The readouts, for the client, which takes the next when it has sent one."""
        for readout in self._readouts:
            yield readout
            if not self._first_spoke and not readout.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
                self._first_spoke = time.perf_counter()

    def hear(self, event: wire.Event) -> None:
        """Note an event that has come."""
        if isinstance(event, wire.Data) and math.isnan(self.first_map) and is_provisional(event.item):
            self.first_map = time.perf_counter() - self._first_spoke


def serve(
    node: Node, n: int, pipeline: str, xml: str, readouts: list[ismrmrd.Acquisition], every: int
) -> tuple[float, list[float], list[float]]:
    """Processor time of the node for a slice, times from last spoke to last map, and those of the first maps."""
    replies: list[Reply] = []
    watches = [Watch(readouts) for _ in range(n)]
    pace, parameters = scanner_pace(readouts, 1), {"provisional": every} if every else {}

    def scan(watch: Watch) -> None:
        replies.append(
            send_scan(
                xml, watch.readouts(), port=node.port, config=pipeline, parameters=parameters, pace=pace,
                on_event=watch.hear,
            )
        )  # fmt: skip

    before = node.seconds()
    scanners = [threading.Thread(target=scan, args=[watch]) for watch in watches]
    for scanner in scanners:
        scanner.start()
    most = dict(before)
    while any(scanner.is_alive() for scanner in scanners):
        most |= node.seconds()
        time.sleep(0.05)
    used = sum(seconds - before.get(pid, 0.0) for pid, seconds in most.items())
    waits = [reply.seconds_from_last_spoke_to_last_image for reply in replies]
    return used / n, waits, [watch.first_map for watch in watches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small slice, to test that it runs")
    parser.add_argument("--pipeline", default="mrf_t1ff_net", help="the reconstruction [mrf_t1ff_net]")
    parser.add_argument("--scanners", default="1,4,10", help="numbers of scanners at once [1,4,10]")
    parser.add_argument("--provisional", type=int, default=0, help="provisional maps every so many spokes [0: none]")
    arguments = parser.parse_args()
    numbers = [1] if arguments.quick else [int(number) for number in arguments.scanners.split(",")]
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console()
    print_machine(console, THREADS, ("numpy", "torch", "finufft"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_scan(folder / "scan.h5", SimulationSettings(matrix=48 if arguments.quick else 350, seed=1))
        scan = read_scan(folder / "scan.h5")
        xml, readouts = scan.xml, list(scan)
        rounds = 1 if arguments.quick else ROUNDS
        table = Table(title=f"{arguments.pipeline}: processor time, and times of maps; median of {rounds} rounds")
        with running_node(folder, max(numbers)) as node:
            chain_alone(arguments.pipeline, xml, readouts)
            send_scan(xml, readouts, port=node.port, config=arguments.pipeline)
            for n in numbers:
                found: dict[str, list[float]] = {}
                for _ in range(rounds):
                    time.sleep(0 if arguments.quick else REST_S)
                    alone = chain_alone(arguments.pipeline, xml, readouts)
                    node.rest()
                    used, waits, first = serve(node, n, arguments.pipeline, xml, readouts, arguments.provisional)
                    row = {
                        "chain alone, s": alone, "a slice, s": used, "ratio": used / alone,
                        "last spoke to last map, s": np.median(waits), "the slowest, s": max(waits),
                    }  # fmt: skip
                    row |= {"first map, s": np.median(first)} if arguments.provisional else {}
                    for heading, value in row.items():
                        found.setdefault(heading, []).append(value)
                if not table.columns:
                    for heading in ("scanners", *found):
                        table.add_column(heading, justify="right")
                table.add_row(str(n), *(f"{np.median(values):.2f}" for values in found.values()))
    console.print(table)


if __name__ == "__main__":
    main()
