"""The worker of one scan whose chain runs in a process."""

import asyncio
import json
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import ismrmrd

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.released import released
from spokestream.pipelines.node.workers.link import node_end, object_bytes
from spokestream.pipelines.node.workers.pace import Pace
from spokestream.pipelines.node.workers.priority import give_way
from spokestream.pipelines.node.workers.scan_process import ScanProcess
from spokestream.pipelines.node.workers.worker import SendImage

__all__ = ["ChainDefectError", "ProcessWorker"]

READ_BYTES = 1 << 18
SOCKET_BYTES = 1 << 21
"""Bytes that the system may hold between node and process, if it allows as many: what `Channel` gathers, and as much
again, so that a write is one system call."""


JUDGED_S = 0.25
"""Time for which a scan waits for its process, unless its pace is known before. A scanner, whose scan takes seconds,
loses nothing by it; a replay has shown its pace by then, so that all of its work gives way."""


class ChainDefectError(Exception):
    """An error in the process of a scan that is not meant for people; its note is the traceback there."""


class Processes(Protocol):
    """The pool from which a worker has its process."""

    async def take(self, *, gives_way: bool) -> ScanProcess:
        """A process that is ready, for a scan that gives way to others or not."""

    async def give_back(self, process: ScanProcess) -> str:
        """Take a process back; returns how it ended if it has."""


class ProcessWorker:
    """Sends the items of one scan to a process, and what comes back to the session.

    Args:
        processes: where it gets the process.
        scan: selection and header.
        queue_bytes: items that may wait in the node.
        log: the log of the chain.
        send: sends an image to the client.

    """

    def __init__(
        self, processes: Processes, scan: Sequence[Any], queue_bytes: int, log: logging.Logger, send: SendImage
    ) -> None:
        self._processes, self._log, self._send = processes, log, send
        self._wire = node_end()
        self._writer: asyncio.StreamWriter | None = None
        self._connected, self._judged = asyncio.Event(), asyncio.Event()
        self._process: ScanProcess | None = None
        self._pace, self._gives_way = Pace(), False
        self._ended = self._abandoned = False
        self._task = asyncio.get_running_loop().create_task(self._run(scan, queue_bytes))

    @property
    def held(self) -> int:
        """Bytes of items that wait in the node."""
        return self._writer.transport.get_write_buffer_size() if self._writer else 0

    def see(self, header: object) -> None:
        """Note the header of the next item. A scan that comes faster than a scanner measures gives way to others."""
        if self._pace.is_ahead(header):
            self._give_way()

    async def put(self, messages: bytes) -> None:
        """Send the next items as they came, and wait while too many bytes wait."""
        await self._connected.wait()
        with suppress(ConnectionError):  # `wait` says how the process ended
            if self._writer:
                self._writer.write(messages)
                await self._writer.drain()

    def end(self) -> None:
        """Mark the end of the items."""
        if self._pace.was_ahead():
            self._give_way()
        self._judged.set()
        self._ended = True
        self._write_close()

    async def wait(self) -> None:
        """Wait until the last image was sent. Raises the error that ended the scan."""
        await asyncio.shield(self._task)

    def abandon(self) -> None:
        """Make the scan stop soon; its process is killed if it does not."""
        if not self._abandoned:  # once, because a second call would interrupt what the first has started
            self._abandoned = True
            self._task.cancel()

    async def stopped(self) -> None:
        """Wait until the process is ready for another scan, or has ended."""
        if not self._task.done():
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # retrieved, because asyncio otherwise logs a warning

    async def _run(self, scan: Sequence[Any], queue_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        finished, how = False, ""
        try:
            reader = await self._connect(ours, scan, queue_bytes)
            with suppress(TimeoutError):
                async with asyncio.timeout(JUDGED_S):  # `wait_for` may swallow a cancellation
                    await self._judged.wait()
            self._process = await self._processes.take(gives_way=self._gives_way)
            if self._gives_way:
                give_way(self._process.pid)
            finished = await self._converse(self._process, theirs, reader)
        finally:
            self._abandoned = True  # from here on, nothing may interrupt the return of the process
            theirs.close()
            self._disconnect()
            process, self._process = self._process, None
            if process:
                how = await self._processes.give_back(process)
        if not finished:
            what = f"The process that reconstructed the scan {how or 'ended the scan too early'}"
            raise ScanError(f"{what}; send the scan again or replay it.")

    async def _connect(self, sock: socket.socket, scan: Sequence[Any], queue_bytes: int) -> asyncio.StreamReader:
        """Begin to send; what is put waits in the socket and then here until the process reads it."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        reader, self._writer = await asyncio.open_connection(sock=sock, limit=READ_BYTES)
        self._writer.transport.set_write_buffer_limits(high=queue_bytes)
        self._writer.write(object_bytes(scan))
        self._connected.set()
        if self._ended:
            self._write_close()
        return reader

    def _disconnect(self) -> None:
        self._connected.set()
        writer, self._writer = self._writer, None
        if writer:
            writer.transport.abort()

    async def _converse(self, process: ScanProcess, theirs: socket.socket, reader: asyncio.StreamReader) -> bool:
        """Let the process have the scan, and handle what comes; returns whether it has finished.

        Raises its error, and that of the client.
        """
        try:
            process.take(theirs)
        except OSError:
            return False
        theirs.close()  # the process has the only one now, so that its end is heard
        while self._wire.their_state is not wire.State.CLOSED:
            try:
                events = self._wire.receive_data(await reader.read(READ_BYTES))
            except (OSError, wire.RemoteProtocolError):
                return False
            for event in events:
                await self._handle(event)
        return True

    async def _handle(self, event: wire.Event) -> None:
        match event:
            case wire.Data(ismrmrd.Image() as image):
                await self._send(image)
            case wire.Text(text):
                match json.loads(text):
                    case {"level": level, "line": line}:
                        self._log.log(level, "%s", line)
                    case {"error": sentence}:
                        raise ScanError(sentence)
                    case {"defect": words, "traceback": lines}:
                        defect = ChainDefectError(words)
                        defect.add_note(lines)
                        raise released(defect)

    def _give_way(self) -> None:
        if not self._gives_way:
            self._gives_way = True
            self._judged.set()
            self._log.info("The scan comes faster than it was measured; scans at a scanner's pace are served first.")
            if self._process:
                give_way(self._process.pid)

    def _write_close(self) -> None:
        if self._writer and self._wire.our_state is wire.State.STREAMING:
            self._writer.writelines(self._wire.send(wire.Close()))
