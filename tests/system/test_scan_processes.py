"""A node whose chains run in processes: same maps, and what happens when a process dies, freezes or gives way."""

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
from pathlib import Path

import numpy as np
import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.client import ClientError, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.node.server import local_server
from spokestream.pipelines.node.workers import scan_process
from spokestream.pipelines.node.workers.link import node_end
from spokestream.pipelines.node.workers.processes import (
    ProcessWorkers,
)
from spokestream.pipelines.selection import select
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
