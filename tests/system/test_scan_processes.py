"""A node whose chains run in processes: same maps, and what happens when a process dies, freezes or cannot start."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.client import ClientError, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.node.server import local_server
from spokestream.pipelines.node.workers import processes, scan_process
from spokestream.pipelines.node.workers.link import node_end
from spokestream.pipelines.node.workers.processes import (
    GRID_BYTES,
    PROCESS_BYTES,
    ProcessWorkers,
    grids_kept,
    processes_kept,
)
from spokestream.pipelines.selection import configure, select
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A small scan of two slices, because many processes reconstruct it, and first images must come before its end."""
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate_scan(path, SimulationSettings(matrix=27, coils=2, slices=2, seed=3))
    return read_scan(path)


@pytest.fixture(scope="module")
def workers():
    return ProcessWorkers([])


@pytest.fixture(scope="module")
def node(workers):
    """The port of a node."""
    with local_server(workers=workers) as port:
        yield port


def children():
    """The processes for scans that this process has started."""
    return [process.pid for process in multiprocessing.active_children()]


def wait_until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("pipeline", ["mrf_t1ff", "mrf_t1ff_net"])
def test_maps_are_those_of_replay(node, scan, pipeline):
    expected = reconstruct(scan, select(pipeline))[0]
    for _ in range(2):  # the second time in a process that has reconstructed a scan already
        result = send_scan(scan.xml, scan, port=node, config=pipeline)
        assert len(result.images) == len(expected)
        for image, other in zip(result.images, expected, strict=True):
            assert image.getHead().image_series_index == other.getHead().image_series_index
            np.testing.assert_array_equal(image.data, other.data)
            assert image.attribute_string == other.attribute_string
    assert len(children()) == 1


def test_a_killed_process_ends_its_own_scan_only(node, workers, scan):
    with socket.create_connection(("127.0.0.1", node)) as sock:
        sock.settimeout(60)
        client = wire.Connection(wire.Role.CLIENT)
        readouts = iter(scan)
        for event in (wire.ConfigFile("mrf_t1ff"), wire.Header(scan.xml), wire.Data(next(readouts))):
            sock.sendall(b"".join(client.send(event)))
        heard = []
        # when the kept process has this scan, the other one gets a new one
        wait_until(lambda: workers._taken == 1)
        (pid,) = children()
        other = {}
        sender = threading.Thread(
            target=lambda: other.update(result=send_scan(scan.xml, scan, port=node, config="mrf_t1ff"))
        )
        sender.start()
        wait_until(lambda: len(children()) == 2)
        os.kill(pid, signal.SIGKILL)
        while not any(isinstance(event, wire.Close) for event in heard):
            heard += client.receive_data(sock.recv(1 << 16))
    text = "".join(event.text for event in heard if isinstance(event, wire.Text))
    assert "ERROR The process that reconstructed the scan was killed (SIGKILL)" in text
    sender.join()
    assert len(other["result"].images) == 2 * 15
    assert send_scan(scan.xml, scan, port=node, config="mrf_t1ff").images


def test_a_computation_that_cannot_be_cancelled_is_killed(node, workers, scan, monkeypatch):
    send_scan(scan.xml, scan, port=node, config="mrf_t1ff")  # so that one process waits
    wait_until(lambda: len(children()) == 1)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)  # it neither computes nor answers
    monkeypatch.setattr(scan_process, "CANCEL_S", 0.2)
    with socket.create_connection(("127.0.0.1", node)) as sock:
        client = wire.Connection(wire.Role.CLIENT)
        for event in (wire.ConfigFile("mrf_t1ff"), wire.Header(scan.xml), wire.Data(next(iter(scan)))):
            sock.sendall(b"".join(client.send(event)))
        wait_until(lambda: workers._taken == 1)
    wait_until(lambda: pid not in children())
    assert send_scan(scan.xml, scan, port=node, config="mrf_t1ff").images


def test_an_error_of_the_scan_reaches_its_client(node, scan):
    with pytest.raises(ClientError, match="cannot map this scan"):
        send_scan(scan.xml, scan, port=node, config="mrf_t1t2")
    assert send_scan(scan.xml, scan, port=node, config="mrf_t1ff").images


def test_networks_that_cannot_be_loaded_are_said_at_the_start(tmp_path):
    workers = ProcessWorkers(list(configure({"archive": tmp_path / "none.pt"}).values()))
    with pytest.raises(ScanError, match=r"There is no network archive .*none\.pt"):
        asyncio.run(workers.start())


def test_a_process_ends_with_its_node(tmp_path, scan):
    """Also if the node is killed, so that it cannot end it."""
    log = tmp_path / "log"
    with log.open("w") as file:
        node = subprocess.Popen(
            [sys.executable, "-m", "spokestream.pipelines", "serve", "--port", "0"], stderr=file, cwd=tmp_path
        )
    wait_until(lambda: "Listening" in log.read_text())
    pids = descendants(node.pid)
    assert len(pids) >= 2  # one that others are forked from, and one for scans
    node.kill()
    node.wait()
    for pid in pids:
        wait_until(lambda pid=pid: ended(pid))


def descendants(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [*found, *(other for one in found for other in descendants(one))]


def ended(pid):
    """Whether a process has ended; it may still wait to be collected."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


class EndsItsReader:
    """Ends the process in which it is unpickled."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_ends_while_it_starts_is_said():
    with pytest.raises(ScanError, match="The process for scans ended with code 1"):
        asyncio.run(ProcessWorkers([EndsItsReader()]).start())


def test_kept_processes_are_started_ahead_and_serve_scans_at_once(scan):
    before, readouts = set(children()), list(scan)  # the file is not for two threads

    def new():
        return set(children()) - before

    with local_server(workers=ProcessWorkers([], kept=2)) as port:
        wait_until(lambda: len(new()) == 2)
        kept = new()
        for _ in range(2):
            with ThreadPoolExecutor(2) as senders:
                results = list(
                    senders.map(lambda _: send_scan(scan.xml, readouts, port=port, config="mrf_t1ff"), range(2))
                )
            assert [len(result.images) for result in results] == [30, 30]
            assert new() == kept


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


def policy_of(thread):
    """How a thread is scheduled; None if it has ended."""
    with suppress(ProcessLookupError):
        return os.sched_getscheduler(thread)


def test_a_replay_gives_way_with_all_its_threads_and_a_scan_at_pace_does_not(scan, caplog):
    caplog.set_level(logging.INFO)
    readouts = list(scan)
    for seconds_apart, policy in ((0.02, os.SCHED_IDLE), (0.0, os.SCHED_OTHER)):
        for i, readout in enumerate(readouts):
            readout.acquisition_time_stamp = round(i * seconds_apart / 0.0025)
        workers, seen = ProcessWorkers([]), []
        with local_server(workers=workers) as port:
            pid = workers._idle[0].pid

            def look(event, pid=pid, seen=seen):
                if isinstance(event, wire.Data):  # an image, while the process has the scan
                    tasks = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
                    seen.append({policy for policy in map(policy_of, tasks) if policy is not None})

            send_scan(scan.xml, readouts, port=port, config="mrf_t1ff", on_event=look)
            wait_until(lambda workers=workers: workers._idle)  # one that may claim its share again, or a new one
            assert os.sched_getscheduler(workers._idle[0].pid) == os.SCHED_OTHER
        assert seen[0] == {policy}
        assert caplog.text.count("comes faster than it was measured") == 1  # of the first scan


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


def test_what_waits_for_a_process_is_limited(scan):
    """A process that does not read holds its client back."""

    async def scenario():
        sent = []

        async def send(image):
            sent.append(image)

        small = ProcessWorkers([])
        await small.start()
        (process,) = small._idle
        os.kill(process.pid, signal.SIGSTOP)
        worker = small.begin(select("mrf_t1ff"), scan.xml, logging.getLogger("test"), send, 1 << 16)
        stream = node_end()
        messages = [b"".join(stream.send(wire.Data(readout))) for readout in scan]

        async def put_all():
            for message in messages:
                await worker.put(message)
            worker.end()

        putting = asyncio.create_task(put_all())
        await asyncio.sleep(0.5)
        held = worker.held
        assert not putting.done()
        os.kill(process.pid, signal.SIGCONT)
        await putting
        await worker.wait()
        await worker.stopped()
        await small.stop()
        return held, len(sent)

    held, n_images = asyncio.run(scenario())
    assert 1 << 16 <= held <= (1 << 16) + (1 << 15)
    assert n_images == 30


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
