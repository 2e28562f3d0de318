"""A process for scans, from the node's side."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from spokestream.errors import ScanError
from spokestream.pipelines.node.workers.link import READY, object_bytes

__all__ = ["ScanProcess"]

CHILD = "spokestream.pipelines.node.workers.child"
LONGEST_LINE = 1 << 16
CANCEL_S = 2.0
"""Time in which a cancelled scan must have ended. A process that is not ready then is killed."""
EXIT_S = 5.0


class ScanProcess:
    """A process that reconstructs one scan at a time. It is started at once, in an event loop.

    Args:
        networks: the settings of pipelines whose networks it loads.

    """

    def __init__(self, networks: Sequence[Any]) -> None:
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        with theirs:
            # a session of its own, so that Ctrl-C in a terminal reaches only the node, which lets scans finish
            self._process = subprocess.Popen(  # noqa: S603  this software
                [sys.executable, "-m", CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._networks: Sequence[Any] | None = networks

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def ready(self) -> None:
        """Wait until the process can take a scan. Raises ScanError if it cannot, with the reason."""
        loop = asyncio.get_running_loop()
        if self._networks is not None:
            networks, self._networks = self._networks, None
            await loop.sock_sendall(self._control, object_bytes(networks))
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
        try:
            code = await asyncio.to_thread(self._process.wait, EXIT_S)
        except subprocess.TimeoutExpired:
            return await self.kill()
        return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"

    async def kill(self) -> str:
        """Kill the process."""
        self._process.kill()
        return await self.end()
