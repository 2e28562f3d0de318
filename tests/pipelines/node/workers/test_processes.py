"""The processes for scans: how many are kept, which of them a scan gets, and what is said of one that cannot start."""

import asyncio
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

import pytest

from spokestream.errors import ScanError
from spokestream.pipelines.node.workers import processes, scan_process
from spokestream.pipelines.node.workers.processes import (
    GRID_BYTES,
    PROCESS_BYTES,
    ProcessWorkers,
    grids_kept,
    processes_kept,
)
from spokestream.pipelines.selection import configure, select


def test_networks_that_cannot_be_loaded_are_said_at_the_start(tmp_path):
    workers = ProcessWorkers(list(configure({"archive": tmp_path / "none.pt"}).values()))
    with pytest.raises(ScanError, match=r"There is no network archive .*none\.pt"):
        asyncio.run(workers.start())


class EndsItsReader:
    """Ends the process in which it is unpickled."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_ends_while_it_starts_is_said():
    with pytest.raises(ScanError, match="The process for scans ended with code 1"):
        asyncio.run(ProcessWorkers([EndsItsReader()]).start())


class Ready:
    """A process that is always ready."""

    alive, pid = True, 0

    def __init__(self, networks, grid_bytes):
        self.networks, self.grid_bytes = networks, grid_bytes

    async def start(self, *, gives_way):
        """Start, while others may be started, too."""
        await asyncio.sleep(0)

    async def is_ready_again(self):
        return True

    async def end(self):
        """It has ended."""


def test_a_process_that_a_scan_waits_for_starts_without_networks(monkeypatch):
    """It is there in a tenth of the time, and loads the network of its scan if there is one."""
    networks = [select("mrf_t1ff_net").settings]
    monkeypatch.setattr(processes, "ScanProcess", Ready)

    async def scenario():
        workers = ProcessWorkers(networks)
        await workers.start()
        taken = [await workers.take(), await workers.take()]  # the first was started ahead
        await workers.stop()
        return taken

    assert [process.networks for process in asyncio.run(scenario())] == [networks, []]


def test_only_as_many_processes_as_the_memory_allows_keep_their_grids(monkeypatch):
    """They are the first to get a scan, and stay if there are too many processes."""
    monkeypatch.setattr(processes, "ScanProcess", Ready)
    monkeypatch.setattr(processes, "claim", lambda pid: True)

    async def scenario():
        workers = ProcessWorkers([], kept=2, with_grids=1)
        await workers.start()
        taken: list[Any] = [*await asyncio.gather(*(workers.take() for _ in range(4)))]
        for process in reversed(taken):  # the one with grids is the last
            await workers.give_back(process)
        again: Any = await workers.take()
        await workers.stop()
        return [process.grid_bytes for process in taken], again is taken[0]

    assert asyncio.run(scenario()) == ([GRID_BYTES, 0, 0, 0], True)


@pytest.mark.parametrize("may_claim", [True, False])
def test_a_process_that_gave_way_serves_a_scanner_only_if_it_may_claim_its_share(may_claim, monkeypatch):
    monkeypatch.setattr(processes, "ScanProcess", Ready)
    monkeypatch.setattr(processes, "claim", lambda pid: may_claim)

    async def scenario():
        workers = ProcessWorkers([], kept=2)
        await workers.start()
        of_replay = await workers.take(gives_way=True)
        await workers.give_back(of_replay)
        taken = [await workers.take(), await workers.take()]
        assert (of_replay in taken) is may_claim
        if not may_claim:
            assert await workers.take(gives_way=True) is of_replay
        await workers.stop()

    asyncio.run(scenario())


def test_a_system_that_starts_no_process_is_said(monkeypatch):
    def fail():
        raise FileNotFoundError("no usable temporary directory")

    process = scan_process.ScanProcess([])
    monkeypatch.setattr(process._process, "start", fail)
    with pytest.raises(ScanError, match=r"No process for scans can be started \(no usable temporary directory\)"):
        asyncio.run(process.start())
    assert asyncio.run(process.kill()) == "did not start"


def test_a_process_whose_scan_is_cancelled_while_it_starts_gets_its_own_socket(monkeypatch):
    """Its socket stays open until then, because its number would soon be that of another file."""
    process, may_start, starts = scan_process.ScanProcess([]), threading.Event(), threading.Event()
    kind, theirs = type(process._process), process._theirs
    start = kind.start

    def late(process):
        starts.set()
        may_start.wait()
        start(process)

    monkeypatch.setattr(kind, "start", late)

    async def scenario():
        starting = asyncio.create_task(process.start())
        await asyncio.to_thread(starts.wait)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        assert await process.kill() == "did not start"
        still_open = theirs.fileno() >= 0
        may_start.set()
        assert still_open
        while theirs.fileno() >= 0:
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    process._process.join(60)
    assert process._process.exitcode == 0  # it hears that nobody waits for it


def test_memory_decides_how_many_processes_are_kept():
    assert processes_kept(1 << 30, 4) == 1
    assert processes_kept(2 << 30, 4) == 2
    assert processes_kept(16 * PROCESS_BYTES, 4) == 3  # two more for an eighth of the memory
    assert processes_kept(1 << 40, 4) == 4


def test_memory_decides_how_many_processes_keep_their_grids():
    assert grids_kept(2 << 30, 2) == 0
    assert grids_kept(20 * GRID_BYTES, 4) == 2  # a tenth of the memory
    assert grids_kept(1 << 40, 4) == 4
    without, two = (ProcessWorkers([], kept=4, with_grids=n).kept_bytes for n in (0, 2))
    assert two - without == 2 * GRID_BYTES


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has files of processes")
def test_a_process_can_be_killed_after_the_one_that_forks_them():
    async def scenario():
        process = scan_process.ScanProcess([])
        await process.start()
        ended = os.pidfd_open(process.pid)
        os.kill(process.pid, signal.SIGSTOP)  # or it would end by itself when it is left alone
        process._process._popen.returncode = 255  # what `multiprocessing` then takes all of them for
        await process.kill()
        assert wait([ended], 20)
        os.close(ended)

    asyncio.run(scenario())
