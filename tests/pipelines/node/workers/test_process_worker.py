"""A worker whose process does not stop, and a session that leaves at the worst moment."""

import asyncio
import logging

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
