"""Workers in processes of their own: a crash, a full memory or a freeze of one scan does not touch the others."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from spokestream.errors import ScanError
from spokestream.pipelines.node.workers.process_worker import ProcessWorker
from spokestream.pipelines.node.workers.scan_process import ScanProcess
from spokestream.pipelines.node.workers.worker import SendImage

__all__ = ["ProcessWorkers"]

LOG = logging.getLogger("spokestream.server")
KEPT = 1
"""Processes that wait for the next scan, so that it need not wait for one to start, which takes seconds."""
PROCESS_BYTES = 320 << 20
"""Memory of a process without a scan: interpreter, libraries and networks."""


class ProcessWorkers:
    """Runs every chain in a process. A process is used for one scan after another, and the first is started ahead.

    Args:
        networks: the settings of pipelines whose networks the processes load.
        queue_bytes: items of a scan that may wait in the node.

    """

    scan_bytes = PROCESS_BYTES

    def __init__(self, networks: Sequence[Any], queue_bytes: int) -> None:
        self._networks, self._queue_bytes = networks, queue_bytes
        self._idle: list[ScanProcess] = []
        self._tasks: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Start the first process. Raises ScanError if it does not become ready."""
        self._idle.append(await self._new())

    def begin(self, selection: Any, header_xml: str, log: logging.Logger, send: SendImage) -> ProcessWorker:
        """Start the worker of a scan."""
        return ProcessWorker(self, (selection, header_xml), self._queue_bytes, log, send)

    async def stop(self) -> None:
        """End all processes that wait."""
        for task in self._tasks:
            task.cancel()
        for process in self._idle:
            self._do(process.end())
        self._idle.clear()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def take(self) -> ScanProcess:
        """A process that is ready. Raises ScanError if none can be started."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await process.end()
        return await self._new()

    async def give_back(self, process: ScanProcess) -> str:
        """Take a process back whose scan has ended; returns how it ended if it cannot be used any more."""
        if not await process.is_ready_again():
            how = await process.kill()
            if not self._idle:
                self._do(self._replace())
            return how
        if len(self._idle) < KEPT:
            self._idle.append(process)
        else:
            await process.end()
        return ""

    async def _new(self) -> ScanProcess:
        process = ScanProcess(self._networks)
        try:
            await process.ready()
        except BaseException:
            await process.kill()
            raise
        return process

    async def _replace(self) -> None:
        try:
            self._idle.append(await self._new())
        except ScanError as error:
            LOG.error("%s", error)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
