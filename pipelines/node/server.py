"""The TCP server: it accepts clients, and stops gracefully. `session` serves a single client."""

import asyncio
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spokestream.pipelines.node.events import Observer, all_of
from spokestream.pipelines.node.session import PipelineSelection, Session, SessionRules
from spokestream.pipelines.run_chain import RunningChain
from spokestream.settings import check_settings, setting

__all__ = ["Server", "ServerSettings", "local_server"]

LOG = logging.getLogger("spokestream.server")
LOOPBACK = ("localhost", "127.0.0.1")
STREAM_BUFFER = 1 << 20
GOODBYE_S = 2.0
"""Time in which sessions that are ended send an error to their clients."""
PAUSE_S = 1.0
"""Time until clients are accepted again after the system had no file descriptor left."""


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the server. Raises InputError for values that are not allowed."""

    host: str = setting("127.0.0.1", meaning="Address to listen on; 0.0.0.0 accepts clients from every network.")
    port: int = setting(9002, meaning="TCP port; 0 takes a free one.", low=0, high=65535)
    max_sessions: int = setting(4, meaning="Scans that are reconstructed at once.", low=1, high=1000)
    record: Path | None = setting(
        None, meaning="Folder in which the received bytes of every session are kept; by default they are not."
    )
    idle_timeout_s: float = setting(
        300.0, meaning="Silence of a client, or refusal to read, that ends its session.", unit="s", low=0.01, high=86400
    )
    queue_bytes: int = setting(
        256 << 20,
        meaning="Data of one scan that may wait to be reconstructed before the client has to wait.",
        unit="bytes",
        low=1,
        high=1 << 40,
    )
    grace_s: float = setting(
        30.0, meaning="Time for running scans to finish when the server is stopped.", unit="s", low=0, high=86400
    )
    drain_s: float = setting(
        30.0, meaning="Time for a client to notice that its scan has failed.", unit="s", low=0, high=86400
    )

    def __post_init__(self) -> None:
        check_settings(self)


class Server:
    """Serves scans until it is stopped.

    `select` and `start_scan` are those of `spokestream.pipelines.selection` unless others are given. The observers are
    told the events of all scans.
    """

    def __init__(
        self,
        settings: ServerSettings,
        select: Callable[[str], PipelineSelection] | None = None,
        start_scan: Callable[[Any, str, logging.Logger], RunningChain] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if select is None or start_scan is None:
            from spokestream.pipelines import selection

            select, start_scan = select or selection.select, start_scan or selection.start_scan
        self.settings = settings
        self.port = settings.port
        """The port of the server. If the setting is 0, it is known after `start`."""
        self._select, self._start_scan = select, start_scan
        self._tell = all_of(*observers)
        self._listeners: list[socket.socket] = []
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
        """Accept clients from now on. Raises OSError if the port is not free."""
        s = self.settings
        self._rules = SessionRules(
            select=self._select,
            start_scan=self._start_scan,
            scans=asyncio.Semaphore(s.max_sessions),
            max_scans=s.max_sessions,
            idle_timeout_s=s.idle_timeout_s,
            queue_bytes=s.queue_bytes,
            drain_s=s.drain_s,
            record_dir=s.record,
            tell=self._tell,
        )
        self._listeners = _listen(s.host, s.port)
        self.port = self._listeners[0].getsockname()[1]
        for listener in self._listeners:
            listener.setblocking(False)
            self._accept_from(listener)
        LOG.info("Listening on %s port %d.", s.host, self.port)

    async def serve(self) -> None:
        """Start, serve until SIGTERM or SIGINT, and stop. It must be called in the main thread."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start()
        await stopping.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        await self.stop()

    async def stop(self) -> None:
        """Accept no more clients, and give running scans the grace period to finish, and log those that do not."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        await asyncio.sleep(0)  # a client accepted a moment ago becomes a task that can be cancelled
        scanning = [task for task, session in self._sessions.items() if session and session.scanning]
        if scanning:
            LOG.info("Stopping: %g s for %d running scans to finish.", self.settings.grace_s, len(scanning))
            await asyncio.wait(scanning, timeout=self.settings.grace_s)
        for task, session in self._sessions.items():
            if session and session.scanning:
                LOG.error("Dropped session %s after %d readouts.", session.id, session.readouts)
            task.cancel()
        if self._sessions:
            await asyncio.wait(list(self._sessions), timeout=GOODBYE_S)
        LOG.info("Stopped.")

    def _accept_from(self, listener: socket.socket) -> None:
        # not asyncio.start_server: in Python 3.11 it loses a socket if it is closed while a client connects
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            LOG.error("Cannot accept a client: %s.", error)
            loop.remove_reader(listener)
            loop.call_later(PAUSE_S, self._accept_from, listener)
            return
        client.setblocking(False)
        task = loop.create_task(self._serve(client))
        self._sessions[task] = None
        task.add_done_callback(self._sessions.pop)

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client, limit=STREAM_BUFFER)
        session = Session(reader, writer, self._rules)
        session.log.info("Session %s from %s.", session.id, writer.get_extra_info("peername"))
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = session
        await session.run()


@contextmanager
def local_server(record: Path | None = None, select: Callable[[str], PipelineSelection] | None = None) -> Iterator[int]:
    """A server in a thread of this process: the whole path of a scanner's data without a second terminal.

    Args:
        record: folder for the recordings of all sessions.
        select: as in `Server`.

    Yields:
        The port, a free one of the loopback, on which the server listens while the context lasts.

    """
    server = Server(ServerSettings(port=0, record=record), select)
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


def _listen(host: str, port: int) -> list[socket.socket]:
    """The sockets for a host. The loopback has two, because some clients use only ::1 and others only 127.0.0.1."""
    if host not in LOOPBACK:
        dual = host in ("", "::") and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host or dual else socket.AF_INET
        return [socket.create_server((host, port), family=family, dualstack_ipv6=dual)]
    first = socket.create_server(("127.0.0.1", port))
    port_taken = () if port else (errno.EADDRINUSE,)
    try:
        second = socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, *port_taken):
            return [first]
        first.close()
        raise
    return [first, second]
