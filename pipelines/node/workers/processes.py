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
SPARE = 1
"""Processes that wait for the next scan, so that no scan has to wait for a process."""


class ProcessWorkers:
    """Runs every chain in a process. Processes are started ahead, and used for one scan after another.

    Args:
        networks: the settings of pipelines whose networks the processes load.
        queue_bytes: items of a scan that may wait in the node.

    """

    idle_bytes = scan_bytes = 0

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
        """A process that is ready; another one is started for the next scan. Raises ScanError if none can be."""
        process = None
        while self._idle and process is None:
            process = self._idle.pop()
            if not process.alive:
                await process.end()
                process = None
        if len(self._idle) < SPARE and not self._tasks:
            self._do(self._add_spare())
        return process or await self._new()

    async def give_back(self, process: ScanProcess) -> str:
        """Take a process back whose scan has ended; returns how it ended if it cannot be used any more."""
        if not await process.is_ready_again():
            return await process.kill()
        self._idle.append(process)
        while len(self._idle) > SPARE:
            self._do(self._idle.pop(0).end())
        return ""

    async def _new(self) -> ScanProcess:
        process = ScanProcess(self._networks)
        try:
            await process.ready()
        except BaseException:
            await process.kill()
            raise
        return process

    async def _add_spare(self) -> None:
        try:
            self._idle.append(await self._new())
        except ScanError as error:
            LOG.error("%s", error)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
