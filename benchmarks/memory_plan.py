"""Compares the memory that a node plans for a scan with the memory that it takes.

`python benchmarks/memory_plan.py scan.h5 ...` starts a node for every scan file and pipeline, sends the scan as fast as
the node takes it, and prints the plan, the memory of the scan's process with the growth of the node's, and their ratio.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import processes

from spokestream.pipelines.client import send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan

CONFIGURATIONS = {
    "mrf_t1ff": "mrf_t1ff",
    "mrf_t1ff, frames": '<configuration pipeline="mrf_t1ff"><property name="basis" value="frames"/></configuration>',
    "mrf_t1ff_net": "mrf_t1ff_net",
    "mrf_t1t2": "mrf_t1t2",
}


def resident(pid: int, line: str) -> int:
    found = re.search(rf"{line}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) << 10


def measured(path: str, config: str, threads: int) -> tuple[int, int]:
    """The bytes that the node planned and took."""
    scan = read_scan(path)
    readouts = list(scan)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "spokestream.pipelines", "serve", "--port", "0", "--threads", str(threads)]
        with log.open("w") as file:
            node = subprocess.Popen(command, stderr=file)
        try:
            while not (port := re.search(r"port (\d+)", log.read_text())):
                time.sleep(0.1)
            before = resident(node.pid, "VmRSS")
            send_scan(scan.xml, readouts, "127.0.0.1", int(port[1]), config)
            plan = re.search(r"([\d.]+) (MiB|GiB) of memory are reserved", log.read_text())
            assert plan
            taken = sum(resident(pid, "VmHWM") for pid in processes(node.pid)) - before
        finally:
            node.kill()
            node.wait()
    return round(float(plan[1]) * (1 << (20 if plan[2] == "MiB" else 30))), taken


def main() -> None:
    for path in sys.argv[1:]:
        for name, config in CONFIGURATIONS.items():
            if ("t1t2" in name) != ("fisp" in path):
                continue
            for threads in (1, 2):
                plan, taken = measured(path, config, threads)
                print(
                    f"{Path(path).name:14} {name:18} {threads} threads: plan {plan >> 20:5} MiB, "
                    f"taken {taken >> 20:5} MiB, ratio {plan / taken:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
