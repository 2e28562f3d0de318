"""The TCP server: it accepts clients, and stops gracefully. `session` serves a single client."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spokestream.errors import ScanError, SpokestreamError
from spokestream.pipelines import wire
from spokestream.pipelines.node.accepting import dismiss, stream_of
from spokestream.pipelines.node.dialect import DIALECTS, Dialect
from spokestream.pipelines.node.events import Observer, all_of
from spokestream.pipelines.node.memory.budget import MemoryBudget, resident_bytes, words
from spokestream.pipelines.node.recordings import Recordings
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.node.session import Session
from spokestream.pipelines.node.session_rules import PipelineSelection, SessionRules
from spokestream.pipelines.node.workers.allocation import return_memory
from spokestream.pipelines.node.workers.threads import ThreadWorkers
from spokestream.pipelines.node.workers.worker import Workers
from spokestream.pipelines.run_chain import RunningChain

__all__ = ["Server", "local_server"]

LOG = logging.getLogger("spokestream.server")
LOOPBACK = ("localhost", "127.0.0.1")
GOODBYE_S = 2.0
"""Time in which sessions that are ended send an error to their clients."""
LEAST_FOR_SCANS = 64 << 20
"""Memory that is left for scans at least, whatever the process uses already."""
LARGEST_BODY = 256 << 20
BODIES = 32
"""A single message has at most this fraction of the memory, because it comes before the scan's memory is planned."""
WAITING_CLIENTS = 4096
"""Clients that the system lets wait to be accepted, if it allows as many. One that finds no place tries again after a
second, so that a crowd of others would delay it."""
CLEANING_S = 60.0
"""Time from one deletion of old recordings to the next."""
PAUSE_S = 1.0
"""Time until clients are accepted again after the system had no file descriptor left, and least time between two
deletions of recordings."""


class Server:
    """Serves scans until it is stopped.

    `select` and `start_scan` are those of `spokestream.pipelines.selection` unless others are given; then `plan` gives
    the bytes that a scan needs, see `SessionRules`, or scans need none. The observers are told the events of all scans.
    Chains run in threads of this process unless other `workers` are given. So many `kept_bytes` of the node's memory
    are not for scans.
    """

    def __init__(
        self,
        settings: ServerSettings,
        select: Callable[[str], PipelineSelection] | None = None,
        start_scan: Callable[[Any, str, logging.Logger], RunningChain] | None = None,
        plan: Callable[[Any, str, int, int], int] | None = None,
        observers: Sequence[Observer] = (),
        workers: Workers | None = None,
        kept_bytes: int = 0,
    ) -> None:
        if select is None or start_scan is None:
            from spokestream.pipelines import selection
            from spokestream.pipelines.node.memory.plan import plan_scan

            def plan_bytes(chosen: Any, header_xml: str, channels: int, readout_bytes: int) -> int:
                plan = plan_scan(chosen, header_xml, channels, readout_bytes, settings.queue_bytes)
                return plan.total + self._workers.scan_bytes

            select, start_scan = select or selection.select, start_scan or selection.start_scan
            plan = plan or plan_bytes
        self.settings = settings
        self._tls = settings.tls
        self.port = settings.port
        """The port of the server. If the setting is 0, it is known after `start`."""
        self._select = select
        self._workers = workers or ThreadWorkers(start_scan)
        self._tell = all_of(*observers)
        self._plan = plan or (lambda *scan: 0)
        self._kept_bytes = kept_bytes
        self._addresses: Counter[str] = Counter()
        self._listeners: list[socket.socket] = []
        self._cleaning: asyncio.Task[None] | None = None
        self._sessions: dict[asyncio.Task[None], Session | None] = {}
        """The session of every task; None until the session exists."""

    @property
    def listening(self) -> bool:
        """Whether clients are accepted."""
        return bool(self._listeners)

    @property
    def queued_bytes(self) -> int:
        """Bytes of readouts of all scans that wait to be reconstructed."""
        return sum(session.queued_bytes for session in self._sessions.values() if session)

    async def start(self) -> None:
        """Accept clients from now on. Raises OSError if the port is taken, SpokestreamError for other causes."""
        s = self.settings
        recordings = None if s.record is None else Recordings(s.record, int(s.record_gib * 2**30), s.record_days)
        if recordings:
            recordings.check()
            self._cleaning = asyncio.get_running_loop().create_task(_delete_old(recordings))
        await self._workers.start()
        kept = self._kept_bytes + self._workers.kept_bytes
        for_scans = max(s.memory_bytes - resident_bytes() - kept, LEAST_FOR_SCANS)
        self._rules = SessionRules(
            select=self._select,
            workers=self._workers,
            plan=self._plan,
            settings=s,
            dialect=DIALECTS[s.role],
            limits=wire.Limits(body=min(LARGEST_BODY, s.memory_bytes // BODIES)),
            scans=asyncio.Semaphore(s.max_sessions),
            memory=MemoryBudget(for_scans, s.max_waiting),
            recordings=recordings,
            tell=self._tell,
        )
        self._listeners = _listen(s.host, s.port)
        self.port = self._listeners[0].getsockname()[1]
        for listener in self._listeners:
            listener.setblocking(False)
            self._accept_from(listener)
        LOG.info("Listening on %s port %d, with %s of memory for scans.", s.host, self.port, words(for_scans))

    async def serve(self) -> int:
        """Start, serve until SIGTERM or SIGINT, and stop. It must be called in the main thread.

        Returns:
            The number of scans that were dropped because they did not finish within the grace period.

        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start()
        gc.freeze()  # what was loaded stays; a collection that looks at it delays every client
        await stopping.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        return await self.stop()

    async def stop(self) -> int:
        """Accept no more clients, and give running scans the grace period to finish, and log those that do not.

        Returns:
            The number of these.

        """
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        if self._cleaning:
            self._cleaning.cancel()
        await asyncio.sleep(0)  # a client accepted a moment ago becomes a task that can be cancelled
        unfinished = [task for task, session in self._sessions.items() if session and session.unfinished]
        if unfinished:
            LOG.info("Stopping: %g s for %d running scans to finish.", self.settings.grace_s, len(unfinished))
            await asyncio.wait(unfinished, timeout=self.settings.grace_s)
        dropped = 0
        for task, session in self._sessions.items():
            if session and session.unfinished:
                dropped += 1
                LOG.error("Dropped session %s after %d readouts.", session.id, session.readouts)
            task.cancel()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=GOODBYE_S)
        for session in self._sessions.values():
            if session:
                session.abort()
        await self._workers.stop()
        LOG.info("Stopped.")
        return dropped

    def _accept_from(self, listener: socket.socket) -> None:
        # not asyncio.start_server: in Python 3.11 it loses a socket if it is closed while a client connects
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            LOG.error("Cannot accept a client: %s.", error)
            loop.remove_reader(listener)
            loop.call_later(PAUSE_S, self._accept_from, listener)
            return
        client.setblocking(False)
        host = str(address[0])
        if reason := self._crowded(host):
            LOG.error("Refused a client from %s: %s", host, reason)
            _refuse(client, reason, DIALECTS[self.settings.role])
            return
        task = loop.create_task(self._serve(client, host))
        self._sessions[task] = None
        self._addresses[host] += 1

        def ended(task: asyncio.Task[None]) -> None:
            del self._sessions[task]
            self._addresses[host] -= 1
            if not self._addresses[host]:
                del self._addresses[host]
            if not self._sessions:
                loop.run_in_executor(None, return_memory)

        task.add_done_callback(ended)

    def _crowded(self, host: str) -> str:
        """Why no more client of this address can be served; an empty text if it can."""
        s = self.settings
        if len(self._sessions) >= s.max_connections:
            return f"The node has {s.max_connections} connections already; try again later."
        if self._addresses[host] >= s.max_connections_per_address:
            return f"The node has {s.max_connections_per_address} connections of this address; close some."
        return ""

    async def _serve(self, client: socket.socket, host: str) -> None:
        try:
            stream = await stream_of(client, self._tls, self.settings.first_byte_s)
        except (SpokestreamError, OSError) as error:
            LOG.error("Refused a client from %s: %s", host, error)
            with client:
                if isinstance(error, ScanError):
                    await dismiss(client, _refusal(str(error), DIALECTS[self.settings.role]), self.settings.drain_s)
            return
        session = Session(stream, self._rules)
        session.log.info("Session %s from %s.", session.id, stream.transport.get_extra_info("peername"))
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = session
        await session.run()


@contextmanager
def local_server(
    record: Path | None = None,
    select: Callable[[str], PipelineSelection] | None = None,
    workers: Workers | None = None,
) -> Iterator[int]:
    """A server in a thread of this process: the whole path of a scanner's data without a second terminal.

    Args:
        record: folder for the recordings of all sessions.
        select: as in `Server`.
        workers: as in `Server`.

    Yields:
        The port, a free one of the loopback, on which the server listens while the context lasts.

    """
    server = Server(ServerSettings(port=0, record=record), select, workers=workers)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="spokestream-server")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield server.port
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _delete_old(recordings: Recordings) -> None:
    """Delete old recordings now and then, and soon if there are too many."""
    while True:
        await recordings.tidy()
        await asyncio.sleep(PAUSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLEANING_S):
                await recordings.crowded.wait()


def _refuse(client: socket.socket, reason: str, dialect: Dialect) -> None:
    """Tell a client, without waiting, that it is not served."""
    with client, suppress(OSError):
        client.send(_refusal(reason, dialect))
        client.shutdown(socket.SHUT_WR)


def _refusal(reason: str, dialect: Dialect) -> bytes:
    connection = wire.Connection(dialect.role)
    events = dialect.failure(reason), wire.Close()
    return b"".join(part for event in events for part in connection.send(event))


def _listen(host: str, port: int) -> list[socket.socket]:
    """The sockets for a host. The loopback has two, because some clients use only ::1 and others only 127.0.0.1."""
    if host not in LOOPBACK:
        dual = host in ("", "::") and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host or dual else socket.AF_INET
        return [socket.create_server((host, port), family=family, dualstack_ipv6=dual, backlog=WAITING_CLIENTS)]
    first = socket.create_server(("127.0.0.1", port), backlog=WAITING_CLIENTS)
    port_taken = () if port else (errno.EADDRINUSE,)
    try:
        second = socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6, backlog=WAITING_CLIENTS)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, *port_taken):
            return [first]
        first.close()
        raise
    return [first, second]
