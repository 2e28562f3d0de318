"""Archives by many workers: python benchmarks/scale.py [--quick] [--scans N] [--matrix N] [--faults].

An archive of small scans, one simulated and the others copies of it with more noise, is reconstructed by one worker of
Dask and by two, with one thread each. The limit of the machine is how much faster two processes without Dask are than
one: what cores that share memory and caches allow. From the measured times follows what 100 workers would do, and what
would hold them up.

With `--faults`, the archive also has a broken scan and one scan twice, one of two workers is killed in the middle, and
the run is then continued; it ends with an error if a scan is lost or reconstructed twice.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from multiprocessing import active_children, get_context
from pathlib import Path
from time import perf_counter, process_time

import distributed
import h5py
import numpy as np
from measure import print_machine
from rich.console import Console
from rich.table import Table

from spokestream.dask_workers import dask_client
from spokestream.pipelines.archive.archive_settings import ArchiveSettings
from spokestream.pipelines.archive.record import DONE, DONE_BEFORE, FAILED, SAME_SCAN, ScanRecord
from spokestream.pipelines.archive.replaying import replay_archive
from spokestream.pipelines.archive.scan_task import ScanTask, run_task
from spokestream.pipelines.archive.scans.discovery import find_scans
from spokestream.pipelines.archive.scans.identity import copies, digest_of
from spokestream.pipelines.archive.scans.largest_plan import largest_plan
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.selection import select
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

PROJECTED = 100
"""Number of workers for which the measurements are extrapolated."""
NOTHINGS = 1000
"""Tasks without work, by which the scheduler is timed."""
HOUR = 3600


@dataclass(frozen=True)
class Run:
    """An archive that was reconstructed."""

    records: list[ScanRecord]
    first: float
    """Seconds until each worker could have finished its first scan: start of the workers, and imports."""
    total: float
    """Seconds altogether."""

    def per_hour(self, workers: int) -> float:
        """Scans an hour when the workers are warm."""
        return HOUR * (len(self.records) - workers) / (self.total - self.first)


def make_archive(folder: Path, scans: int, matrix: int) -> None:
    """Write the scans: one is simulated, the others have additional noise of another seed."""
    folder.mkdir()
    first = folder / "scan0000.h5"
    simulate_scan(first, SimulationSettings(matrix=matrix, coils=4, noise=0.05))
    with h5py.File(first) as file:
        rows = file["dataset/data"][()]
    size = 0.01 * np.abs(rows["data"][-1]).max()
    for seed in range(1, scans):
        path = Path(shutil.copy(first, folder / f"scan{seed:04}.h5"))
        rng, noisy = np.random.default_rng(seed), rows.copy()
        for i, samples in enumerate(rows["data"]):
            noisy["data"][i] = samples + size * rng.standard_normal(samples.shape).astype(np.float32)
        with h5py.File(path, "r+") as file:
            file["dataset/data"][...] = noisy


def by_dask(archive: Path, out: Path, workers: int) -> Run:
    """Reconstruct the archive by a number of workers with one thread each."""
    begin, marks = perf_counter(), {}

    def mark(done: int, total: int) -> None:
        marks[done] = perf_counter() - begin

    settings = ArchiveSettings(workers=workers, parameters={"threads": 1})
    records = replay_archive(archive, out, settings, mark)
    assert all(record.outcome == DONE for record in records), records
    return Run(records, marks[workers], marks[len(records)])


def plain_seconds(tasks: Sequence[ScanTask]) -> float:
    """Mean time of a scan in this process, without the first one."""
    run_task(tasks[0])
    begin = perf_counter()
    for task in tasks[1:]:
        assert run_task(task).outcome == DONE
    return (perf_counter() - begin) / (len(tasks) - 1)


def without_dask(archive: Path, out: Path, processes: int, scans: int) -> float:
    """Scans an hour of processes without Dask, all at the same time."""
    found = find_scans(archive, out)[:scans]
    tasks = [ScanTask(s.name, s.path, out / s.name, None, {"threads": 1}, Formats(), str(processes)) for s in found]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return sum(HOUR / s for s in pool.map(plain_seconds, [tasks[i::processes] for i in range(processes)]))


def nothing(number: int) -> int:
    """A task without work."""
    return number


@contextmanager
def counted_messages(scheduler: distributed.Scheduler) -> Iterator[Counter[str]]:
    """Counts the messages that the scheduler gets and gives, while the context lasts."""
    counter: Counter[str] = Counter()
    send, handlers = distributed.batched.BatchedSend.send, dict(scheduler.stream_handlers)

    def counting_send(self: object, *messages: object) -> None:
        counter["sent"] += len(messages)
        send(self, *messages)

    def counting(handle):
        def handled(*arguments, **named):
            counter["received"] += 1
            return handle(*arguments, **named)

        async def awaited(*arguments, **named):
            await handled(*arguments, **named)

        return awaited if iscoroutinefunction(handle) else handled

    distributed.batched.BatchedSend.send = counting_send
    scheduler.stream_handlers.update({name: counting(handle) for name, handle in handlers.items()})
    try:
        yield counter
    finally:
        distributed.batched.BatchedSend.send = send
        scheduler.stream_handlers.update(handlers)


def scheduler_costs(tasks: int) -> tuple[float, float]:
    """Seconds of computing time of scheduler and client for one task, and the number of messages."""
    with dask_client(None, 2) as client:
        client.gather(client.map(nothing, range(20), pure=False))
        with counted_messages(client.cluster.scheduler) as messages:
            begin = process_time()  # scheduler and client are threads of this process, and it does nothing else
            for future in distributed.as_completed(client.map(nothing, range(tasks), pure=False)):
                future.result()
                future.release()
            seconds = process_time() - begin
    return seconds / tasks, messages.total() / tasks


def preparation_seconds(archive: Path, out: Path) -> float:
    """Time of finding, comparing and planning, for one scan; the scans are of one protocol."""
    begin = perf_counter()
    paths = [scan.path for scan in find_scans(archive, out)]
    copies(paths)
    largest_plan(paths, select("auto"))
    return (perf_counter() - begin) / len(paths)


def reading_seconds(path: Path) -> float:
    """Time to read a scan: once for its digest, and once readout by readout."""
    begin = perf_counter()
    digest_of(path)
    for _ in open_scan(path):
        pass
    return perf_counter() - begin


def measure(archive: Path, place: Path, console: Console) -> None:
    """Measure, and print what follows."""
    runs = {workers: by_dask(archive, place / f"out{workers}", workers) for workers in (1, 2)}
    scans = len(runs[1].records)
    limit = {n: without_dask(archive, place / f"plain{n}", n, min(scans, 10 * n)) for n in (1, 2)}
    begin = perf_counter()
    again = replay_archive(archive, place / "out2", ArchiveSettings(parameters={"threads": 1}))
    assert all(record.outcome == DONE_BEFORE for record in again)
    recognised = (perf_counter() - begin) / scans

    table = Table(
        "workers", "scans/h", "with the start", "without Dask", "until the first scans (s)", title="Throughput"
    )
    for n, run in runs.items():
        started = HOUR * scans / run.total
        table.add_row(str(n), f"{run.per_hour(n):.0f}", f"{started:.0f}", f"{limit[n]:.0f}", f"{run.first:.1f}")
    console.print(table)
    faster, possible = runs[2].per_hour(2) / runs[1].per_hour(1), limit[2] / limit[1]
    console.print(
        f"Two workers are {faster:.2f} times as fast as one; the limit of this machine is {possible:.2f}. "
        f"A finished scan is recognised in {1e3 * recognised:.1f} ms."
    )
    project(archive, place, runs, console)


def project(archive: Path, place: Path, runs: dict[int, Run], console: Console) -> None:
    """Print where the time of a scan goes, and from it what 100 workers do."""
    records = runs[1].records
    busy = float(np.median([record.seconds for record in records[1:]]))
    per_scan = HOUR / runs[1].per_hour(1)
    scheduling, messages = scheduler_costs(NOTHINGS)
    preparing = preparation_seconds(archive, place / "out1")
    reading = float(np.median([reading_seconds(scan.path) for scan in find_scans(archive, place / "out1")[:20]]))
    read, written = (float(np.mean([getattr(r, name) for r in records])) / 1e6 for name in ("n_bytes", "n_written"))

    table = Table("of one scan", "s", "who", title="Where the time goes")
    for row in (
        ("everything, one worker", per_scan, "worker"),
        ("reconstruction with its files", busy, "worker"),
        ("reading, twice, from the cache", reading, "worker"),
        ("scheduling", scheduling, "scheduler, one after the other"),
        ("finding, comparing, planning", preparing, "client, before the first scan"),
    ):
        table.add_row(row[0], f"{row[1]:.4f}", row[2])
    console.print(table)

    alone = (scheduling + preparing) / per_scan
    amdahl = 1 / (alone + (1 - alone) / PROJECTED)
    gustafson = PROJECTED - alone * (PROJECTED - 1)
    console.print(
        f"{100 * alone:.2f} % of the time of a scan is not shared by the workers. With {PROJECTED} workers on cores of "
        f"their own, an archive takes {amdahl:.0f} times less time than with one (Amdahl), and can be {gustafson:.0f} "
        f"times larger in the same time (Gustafson). They make {HOUR * amdahl / per_scan:.0f} such scans an hour."
    )
    rate = amdahl / per_scan
    console.print(
        f"Of one scan, {read:.2f} MB are read and {written:.2f} MB written; it takes {messages:.1f} messages. "
        f"{PROJECTED} workers therefore need {rate * (read + written):.0f} MB/s of storage and {rate * messages:.0f} "
        f"messages a second; the scheduler alone could serve {1 / scheduling:.0f} scans/s, which is "
        f"{per_scan / scheduling:.0f} workers, and the preparation {1 / preparing:.0f} scans/s, which is "
        f"{per_scan / preparing:.0f} workers."
    )


def with_faults(archive: Path, out: Path, console: Console) -> None:
    """Reconstruct an archive with a broken scan and one scan twice; one of two workers is killed in the middle."""
    good = sorted(path.stem for path in archive.glob("scan*.h5") if not path.name.endswith(".truth.h5"))
    shutil.copy(archive / f"{good[1]}.h5", archive / "twice.h5")
    (archive / "broken.h5").write_bytes((archive / f"{good[0]}.h5").read_bytes()[:100_000])
    settings, killed = ArchiveSettings(workers=2, parameters={"threads": 1}), []

    def kill(done: int, total: int) -> None:
        workers = [process for process in active_children() if "Dask" in process.name]
        if done > total // 2 and len(workers) == 2 and not killed:
            killed.append(workers[0].pid)
            workers[0].kill()

    begin = perf_counter()
    first = replay_archive(archive, out, settings, kill)
    minutes = (perf_counter() - begin) / 60
    written = {path: path.stat().st_mtime_ns for path in out.rglob("maps.h5")}
    begin = perf_counter()
    again = replay_archive(archive, out, settings)
    seconds = perf_counter() - begin
    expected = dict.fromkeys(good, DONE) | {"broken": FAILED, "twice": SAME_SCAN}
    assert killed, "no worker was killed"
    assert {record.scan: record.outcome for record in first} == expected
    assert {record.scan: record.outcome.removesuffix(" before") for record in again} == expected
    assert sorted(path.parent.name for path in written) == good
    assert written == {path: path.stat().st_mtime_ns for path in out.rglob("maps.h5")}
    assert not list(out.rglob(".unfinished-*"))
    console.print(
        f"{len(expected)} scans in {minutes:.1f} minutes, one worker killed: {len(good)} done once each, one failed, "
        f"one was there twice. Continued in {seconds:.1f} s: nothing was reconstructed again."
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--matrix", type=int, default=48)
    parser.add_argument("--faults", action="store_true", help="a broken scan, a copy, and a killed worker")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    scans, matrix = (6, 32) if given.quick else (given.scans, given.matrix)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    console = Console(highlight=False, soft_wrap=True)
    print_machine(console, 1, ["dask", "distributed", "numpy", "torch", "finufft"])
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        make_archive(archive, scans, matrix)
        if given.faults:
            with_faults(archive, Path(folder) / "faults", console)
        else:
            measure(archive, Path(folder), console)


if __name__ == "__main__":
    main()
