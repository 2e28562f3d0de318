"""A process for scans, from the node's side."""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from spokestream.errors import ScanError
from spokestream.pipelines.node.workers import child
from spokestream.pipelines.node.workers.link import READY
from spokestream.pipelines.node.workers.priority import give_way

__all__ = ["ScanProcess"]

PROCESSES = (
    multiprocessing.get_context("forkserver") if sys.platform == "linux" else multiprocessing.get_context("spawn")
)
"""How processes are started. A forked one has all imports at once and shares their memory with the others; only Linux
can fork what has imported numerical libraries."""
PROCESSES.set_forkserver_preload(["spokestream.pipelines.node.workers.preloaded"])
LONGEST_LINE = 1 << 16
CANCEL_S = 1.0
"""Time in which a cancelled scan must have ended. A process that is not ready then is killed."""
EXIT_S = 5.0


class ScanProcess:
    """A process that reconstructs one scan at a time.

    Args:
        networks: the settings of pipelines whose networks it loads.
        grid_bytes: largest memory of grids that it keeps from one scan to the next.

    """

    def __init__(self, networks: Sequence[Any], grid_bytes: int = 0) -> None:
        self._control, self._theirs = socket.socketpair()
        self._control.setblocking(False)
        self._process = PROCESSES.Process(
            target=child.main, args=(self._theirs, networks, grid_bytes), name="scan", daemon=True
        )
        self._pidfd: int | None = None
        """The process as a file, on Linux: it is killed by this, because `multiprocessing` takes all processes for
        ended when that which forks them has ended."""

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    async def start(self, *, gives_way: bool = False) -> None:
        """Start the process, and wait until it can take a scan. Raises ScanError if it cannot, with the reason.

        Args:
            gives_way: whether it does so from the beginning.

        """
        starting = asyncio.get_running_loop().run_in_executor(None, self._process.start)  # the first waits for imports
        # not before, also if the scan is cancelled: the number of a closed socket soon is that of another file, which
        # the process would get instead
        starting.add_done_callback(self._close_theirs)
        try:
            await asyncio.shield(starting)
        except (OSError, EOFError) as error:
            raise ScanError(f"No process for scans can be started ({error}).") from None
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # it has ended already
                self._pidfd = os.pidfd_open(self.pid)
        if gives_way:
            give_way(self.pid)
        await self.ready()

    def _close_theirs(self, starting: "asyncio.Future[None]") -> None:
        self._theirs.close()
        starting.exception()  # retrieved, because asyncio otherwise logs a warning if nobody waits

    async def ready(self) -> None:
        """Wait until the process can take a scan. Raises ScanError if it cannot, with the reason."""
        loop = asyncio.get_running_loop()
        line = b""
        while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            try:
                part = await loop.sock_recv(self._control, LONGEST_LINE)
            except ConnectionError:
                part = b""
            if not part:
                raise ScanError(f"The process for scans {await self.end()}.")
            line += part
        if line.decode() != f"{READY}\n":
            raise ScanError(line.decode().strip())

    async def is_ready_again(self) -> bool:
        """Whether the process is ready within `CANCEL_S` after its scan has ended or was cancelled."""
        try:
            async with asyncio.timeout(CANCEL_S):
                await self.ready()
        except (TimeoutError, ScanError):
            return False
        return True

    def take(self, sock: socket.socket) -> None:
        """Hand over the socket of a scan. Raises OSError if the process has ended."""
        socket.send_fds(self._control, [b"s"], [sock.fileno()])

    async def end(self) -> str:
        """End the process, and return how it ended, in words."""
        self._control.close()
        if self._process.pid is None:
            return "did not start"
        await asyncio.to_thread(self._process.join, EXIT_S)
        code = self._process.exitcode
        if code is None:
            return await self.kill()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"

    async def kill(self) -> str:
        """Kill the process."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif self._process.pid is not None:
            self._process.kill()
        return await self.end()
