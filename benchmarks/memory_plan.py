"""Compares the memory that a node plans for a scan with the memory that it takes.

`python benchmarks/memory_plan.py scan.h5 ...` starts a node for every scan file and pipeline, sends the scan at the
scanner's pace, and prints the plan, the growth of all processes of the node, and their ratio.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from measure import MemoryWatch, processes, resident_bytes, started_node

from spokestream.pipelines.client import scanner_pace, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan

CONFIGURATIONS: dict[str, tuple[str, dict[str, object]]] = {
    "mrf_t1ff": ("mrf_t1ff", {}),
    "mrf_t1ff, frames": ("mrf_t1ff", {"basis": "frames"}),
    "mrf_t1ff, provisional": ("mrf_t1ff", {"provisional": 128}),
    "mrf_t1ff_net": ("mrf_t1ff_net", {}),
    "mrf_t1ff_net, provisional": ("mrf_t1ff_net", {"provisional": 128}),
    "mrf_t1t2": ("mrf_t1t2", {}),
    "mrf_t1t2, adjoint": ("mrf_t1t2", {"images": "adjoint"}),
}
STARTED_S = 5
"""Time after which the processes that are started ahead have started."""


def measured(path: str, pipeline: str, parameters: dict[str, object], threads: int) -> tuple[int, int]:
    """The bytes that the node planned and took."""
    scan = read_scan(path)
    readouts = list(scan)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        node, port = started_node(log, "--threads", str(threads))
        try:
            time.sleep(STARTED_S)
            before = sum(map(resident_bytes, processes(node.pid)))
            memory = MemoryWatch(node.pid)
            send_scan(
                scan.xml, readouts, "127.0.0.1", port, pipeline, parameters=parameters, pace=scanner_pace(readouts, 1)
            )
            plan = re.search(r"([\d.]+) (MiB|GiB) of memory are reserved", log.read_text())
            assert plan
        finally:
            node.kill()
            node.wait()
    return round(float(plan[1]) * (1 << (20 if plan[2] == "MiB" else 30))), memory.largest - before


def main() -> None:
    for path in sys.argv[1:]:
        for name, (pipeline, parameters) in CONFIGURATIONS.items():
            if ("t1t2" in name) != ("fisp" in path):
                continue
            for threads in (1, 2):
                plan, taken = measured(path, pipeline, parameters, threads)
                print(
                    f"{Path(path).name:14} {name:26} {threads} threads: plan {plan >> 20:5} MiB, "
                    f"taken {taken >> 20:5} MiB, ratio {plan / taken:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
