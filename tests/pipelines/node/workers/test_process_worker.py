"""A worker whose process does not stop, and a session that leaves at the worst moment."""

import asyncio
import logging

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.node.workers.link import process_end
from spokestream.pipelines.node.workers.process_worker import ProcessWorker


class SlowProcesses:
    """A pool whose process takes a while to come back."""

    def __init__(self):
        self.coming_back, self.back, self.is_back = asyncio.Event(), asyncio.Event(), False

    async def take(self, *, gives_way):
        return EndingProcess()

    async def give_back(self, process):
        self.coming_back.set()
        await self.back.wait()
        self.is_back = True
        return "was killed"


class EndingProcess:
    pid = 0

    def take(self, sock):
        raise OSError("it has ended")


def test_a_process_on_its_way_back_is_not_interrupted_by_a_session_that_leaves():
    async def scenario():
        processes = SlowProcesses()
        worker = ProcessWorker(processes, (), 1 << 16, logging.getLogger("test"), None)
        worker.end()
        await processes.coming_back.wait()
        worker.abandon()
        stopped = asyncio.create_task(worker.stopped())
        await asyncio.sleep(0)
        processes.back.set()
        await stopped
        assert processes.is_back

    asyncio.run(scenario())


class EchoProcess:
    """A process that sends one image back."""

    pid = 0

    def take(self, sock):
        with sock.dup() as mine:
            end = process_end()
            for part in end.send(wire.Data(ismrmrd.Image.from_array(np.ones((1, 1, 2, 3), np.float32)))):
                mine.sendall(part)


class ReadyProcesses:
    async def take(self, *, gives_way):
        return EchoProcess()

    async def give_back(self, process):
        return ""


def test_a_client_that_vanishes_is_not_taken_for_a_process_that_ends():
    async def send(image):
        raise ConnectionResetError("the client has left")

    async def scenario():
        worker = ProcessWorker(ReadyProcesses(), (), 1 << 16, logging.getLogger("test"), send)
        worker.end()
        with pytest.raises(ConnectionResetError, match="the client has left"):
            await worker.wait()

    asyncio.run(scenario())


def test_a_session_that_leaves_just_when_the_pace_is_known_is_not_forgotten():
    async def scenario():
        worker = ProcessWorker(ReadyProcesses(), (), 1 << 16, logging.getLogger("test"), None)
        await worker._connected.wait()
        await asyncio.sleep(0.01)
        worker._judged.set()
        worker.abandon()
        await worker.stopped()
        assert worker._task.cancelled()

    asyncio.run(scenario())
