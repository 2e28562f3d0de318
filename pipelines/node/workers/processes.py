"""Workers in processes of their own: a crash, a full memory or a freeze of one scan does not touch the others."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from spokestream.errors import ScanError
from spokestream.pipelines.node.workers.priority import claim
from spokestream.pipelines.node.workers.process_worker import ProcessWorker
from spokestream.pipelines.node.workers.scan_process import ScanProcess
from spokestream.pipelines.node.workers.worker import SendImage

__all__ = ["ProcessWorkers", "grids_kept", "processes_kept"]

LOG = logging.getLogger("spokestream.server")
KEPT_FRACTION = 1 / 8
"""Largest fraction of the node's memory for processes without a scan, except the first."""
PROCESS_BYTES = 192 << 20
"""Memory that a process without a scan has for itself: 54 MB if it is new, 187 MiB after scans of 350 x 350 pixels."""
GRID_FRACTION = 1 / 10
"""Largest fraction of the node's memory for grids that processes keep from one scan to the next."""
GRID_BYTES = 256 << 20
"""Size of such grids: those of a slice of 350 x 350 pixels and 17 images have 208 MiB."""
SHARED_BYTES = 192 << 20
"""Memory that all processes share: interpreter and libraries (170 MiB)."""


def processes_kept(memory_bytes: int, most: int) -> int:
    """The number of processes to keep, of `most` that scans can use at once, in a node with so much memory."""
    return min(most, 1 + int(KEPT_FRACTION * memory_bytes) // PROCESS_BYTES)


def grids_kept(memory_bytes: int, kept: int) -> int:
    """The number of processes, of all that are kept, that keep the memory of their grids between scans."""
    return min(kept, int(GRID_FRACTION * memory_bytes) // GRID_BYTES)


class ProcessWorkers:
    """Runs every chain in a process. A process is used for one scan after another.

    Args:
        networks: the settings of pipelines whose networks the processes load that are started ahead.
        kept: processes that are started ahead and stay between scans, because loading the networks takes time.
        with_grids: how many processes keep the memory of their grids between scans; see `KeptGrids`.

    """

    scan_bytes = PROCESS_BYTES

    def __init__(self, networks: Sequence[Any], kept: int = 1, with_grids: int = 0) -> None:
        self._networks, self._kept = networks, kept
        self._most_with_grids = with_grids
        self._with_grids: set[ScanProcess] = set()
        self.kept_bytes = SHARED_BYTES + (kept - 1) * PROCESS_BYTES + with_grids * GRID_BYTES
        self._taken = 0
        self._idle: list[ScanProcess] = []
        self._yielding: list[ScanProcess] = []
        """Those that wait for a replay, because they cannot claim the priority back that they gave up for one."""
        self._tasks: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Start the first process, and the others in the background. Raises ScanError if it does not become ready."""
        self._let_wait(await self._new(self._networks))
        self._do(self._refill())

    def begin(
        self, selection: Any, header_xml: str, log: logging.Logger, send: SendImage, queue_bytes: int
    ) -> ProcessWorker:
        """Start the worker of a scan, of which so many bytes of items may wait in the node."""
        return ProcessWorker(self, (selection, header_xml), queue_bytes, log, send)

    async def stop(self) -> None:
        """End all processes that wait."""
        for task in self._tasks:
            task.cancel()
        for process in self._idle + self._yielding:
            self._do(process.end())
        self._idle.clear()
        self._yielding.clear()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def take(self, *, gives_way: bool = False) -> ScanProcess:
        """A process for a scan that gives way to others or not. Raises ScanError if none can be started."""
        self._taken += 1
        try:
            return await self._ready(gives_way)
        except BaseException:
            self._taken -= 1
            raise

    async def _ready(self, gives_way: bool) -> ScanProcess:
        for waiting in [self._yielding, self._idle] if gives_way else [self._idle]:
            while waiting:
                process = waiting.pop()
                if process.alive:
                    return process
                await self._end(process)
        # a scan waits for it: networks take 0.4 s of 0.5, and the scan loads its own while it is being acquired
        return await self._new([], gives_way=gives_way)

    async def give_back(self, process: ScanProcess) -> str:
        """Take a process back whose scan has ended; returns how it ended if it cannot be used any more."""
        try:
            ready = await process.is_ready_again()
        finally:
            self._taken -= 1
        how = ""
        if ready:
            await self._keep(process)
        else:
            self._with_grids.discard(process)
            how = await process.kill()
        self._do(self._refill())
        return how

    def _let_wait(self, process: ScanProcess) -> None:
        """Let a process wait for the next scan. The last one that worked serves first, and those with grids do."""
        self._idle.append(process)
        self._idle.sort(key=self._with_grids.__contains__)

    async def _keep(self, process: ScanProcess) -> None:
        """Let a process wait for the next scan, or end it if as many as are kept do so."""
        room = self._kept - len(self._idle) - len(self._yielding)
        without = [other for other in self._idle if other not in self._with_grids]
        surplus = without[:1] if room == 0 and process in self._with_grids else []
        for other in surplus:
            self._idle.remove(other)
            room += 1
        if room > 0 and claim(process.pid):
            self._let_wait(process)
        elif room > 0 and len(self._yielding) < self._kept - 1:  # one is left for a scanner
            self._yielding.append(process)
        else:
            surplus = [*surplus, process]
        for other in surplus:
            await self._end(other)

    async def _end(self, process: ScanProcess) -> None:
        self._with_grids.discard(process)
        await process.end()

    async def _new(self, networks: Sequence[Any], *, gives_way: bool = False) -> ScanProcess:
        keeps_grids = len(self._with_grids) < self._most_with_grids
        process = ScanProcess(networks, GRID_BYTES if keeps_grids else 0)
        if keeps_grids:
            self._with_grids.add(process)
        try:
            await process.start(gives_way=gives_way)
        except BaseException:
            self._with_grids.discard(process)
            await process.kill()
            raise
        return process

    async def _refill(self) -> None:
        """Start processes one after the other, until there are as many as are kept."""
        try:
            while len(self._idle) + len(self._yielding) + self._taken < self._kept:
                self._let_wait(await self._new(self._networks))
        except ScanError as error:
            LOG.error("%s", error)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
