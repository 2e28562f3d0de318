"""Functions that the benchmarks share: they run methods alternately, and describe the machine."""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import importlib.util
import logging
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import ismrmrd
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.messages import Fingerprints
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan

__all__ = [
    "MemoryWatch", "alternately", "installed", "print_machine", "processes", "ratio", "resident_bytes", "slice_before",
    "started_node", "timed_maps",
]  # fmt: skip


def alternately(methods: Mapping[str, Callable[[], object]], rounds: int, threads: int) -> dict[str, list[float]]:
    """The seconds of every method in every round. An additional first round warms up and is not counted.

    All methods run once per round, so that everything else that slows the machine slows all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for round_number in range(rounds + 1):
        for name, run in methods.items():
            torch.set_num_threads(threads)  # some methods change this setting of the process
            begin = perf_counter()
            run()
            if round_number:
                seconds[name].append(perf_counter() - begin)
    return seconds


def ratio(seconds: Sequence[float], ours: Sequence[float]) -> float:
    """The ratio of the times of two methods: the median over rounds of the ratio within a round."""
    return float(np.median(np.divide(seconds, ours)))


def timed_maps(path: Path, pipeline: str = "auto", **settings: object) -> tuple[dict[str, NDArray[np.float32]], float]:
    """The maps of a scan file as `replay` computes them, and the seconds from the last spoke to the last map."""
    scan = read_scan(path)
    readouts, last_spoke = list(scan), 0.0

    def arriving() -> Iterator[ismrmrd.Acquisition]:
        nonlocal last_spoke
        for readout in readouts:
            last_spoke = perf_counter()
            yield readout

    selection = select(pipeline).with_parameters({"datatype": "float32", **settings}, trusted=True)
    found = list(run_chain(start_scan(selection, scan.xml, logging.getLogger("spokestream")), arriving()))
    seconds = perf_counter() - last_spoke
    return map_volumes([item for item in found if isinstance(item, ismrmrd.Image)]), seconds


def slice_before(gadget: type[Gadget[Any, Any]], path: Path, pipeline: str, **settings: object) -> Fingerprints:
    """The fingerprints of the first slice of a scan file, as they reach a gadget of a pipeline."""
    scan = read_scan(path)
    selection = select(pipeline).with_parameters(settings, trusted=True)
    gadgets = start_scan(selection, scan.xml, logging.getLogger("spokestream")).gadgets
    first = next(i for i, one in enumerate(gadgets) if isinstance(one, gadget))
    return next(m for m in list(run_chain(Chain(gadgets[:first]), scan)) if isinstance(m, Fingerprints))


def installed(packages: Mapping[str, str], console: Console) -> set[str]:
    """The packages (name at the package index -> import name) that can be imported; prints the names of the others."""
    missing = [name for name, module in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        console.print(f"Skipped, not installed: {', '.join(missing)} (pip install -e '.\\[bench]').")
    return set(packages) - set(missing)


def processes(pid: int) -> list[int]:
    """The numbers of a process, of those that it has started, and of those that these have started."""
    found = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [one for child in (task / "children").read_text().split() for one in processes(int(child))]
        found.insert(0, pid)
    return found


def resident_bytes(pid: int) -> int:
    """The memory of a process, pages that processes share divided among them; 0 if it has ended."""
    with suppress(OSError):
        if found := re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE):
            return int(found[1]) << 10
    return 0


class MemoryWatch(threading.Thread):
    """Samples the memory of a process and of all that it has started, until it ends.

    The system counts pages for a sample, and holds up the process meanwhile, so that samples take a tenth of the time.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self.largest = pid, 0
        self.start()

    def run(self) -> None:
        """Sample, and keep the largest sum in bytes."""
        while running := processes(self._pid):
            begin = perf_counter()
            self.largest = max(self.largest, sum(map(resident_bytes, running)))
            time.sleep(9 * (perf_counter() - begin))


def started_node(log: Path, *options: str) -> "tuple[subprocess.Popen[bytes], int]":
    """The process of a node with these options of `serve`, which writes to `log`, and its port, a free one.

    Raises RuntimeError if the node ends instead of listening.
    """
    command = [sys.executable, "-m", "spokestream.pipelines", "serve", "--port", "0", *options]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    while not (found := re.search(r"port (\d+)", log.read_text())):
        if process.poll() is not None:
            raise RuntimeError(f"The node has ended: {log.read_text()}")
        time.sleep(0.1)
    return process, int(found[1])


def print_machine(console: Console, threads: int, packages: Sequence[str]) -> None:
    """Print processor, cores, versions, and the load of the machine before the benchmark."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    console.print(
        f"{_processor()}, {cores} cores, {threads} threads, Python {platform.python_version()}, "
        f"load over the last minute {load:.1f}",
        highlight=False,
    )
    console.print(", ".join(f"{name} {version(name)}" for name in packages), highlight=False)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
