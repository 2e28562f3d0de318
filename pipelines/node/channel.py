"""The socket of one session: it receives and records events, sends events, and limits how long it waits."""

import asyncio
import logging
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.byte_stream import ByteStream
from spokestream.pipelines.node.deadlines import Deadlines
from spokestream.pipelines.node.recording import Recorder
from spokestream.pipelines.node.recordings import Recordings
from spokestream.pipelines.node.server_settings import ServerSettings

__all__ = ["Channel"]

READ_BYTES = 1 << 18
GATHER_S, GATHER_BYTES = 0.05, 1 << 20
"""The system gathers the readouts of a scan for this time, or up to this size, before the node reads them: at a
scanner's pace, waking up for every readout would take longer than forwarding it."""
CLOSE_BYTES = b"\x04\0"
GOODBYE_S = 2.0
"""Least time in which a client can take its last messages after a failure."""
WATCH_S = 0.5
"""Time between two looks at whether a client is still there."""
HUNG_UP = getattr(select, "POLLRDHUP", 0)
"""The event of a peer that sends nothing more, which only Linux has."""


class Channel:
    """The server's side of a wire connection on a stream of bytes."""

    def __init__(
        self,
        stream: ByteStream,
        connection: wire.Connection,
        recordings: Recordings | None,
        session: str,
        settings: ServerSettings,
        log: logging.Logger,
    ) -> None:
        self.wire = connection
        self.unrecorded = ""
        """Why the session is not recorded although it should be; an empty text if it is."""
        self.said_close = False
        """Whether the client's CLOSE has come; what comes after it has no meaning."""
        self._recordings, self._session = recordings, session
        self._recorder: Recorder | None = None
        self._deadlines = Deadlines(settings)
        self._stream = stream
        self._patience_s = settings.idle_timeout_s
        self._fault: wire.RemoteProtocolError | None = None
        self._reads = False
        """Whether `receive` waits for bytes; it then finds out itself that the client has vanished."""
        self._log = log

    async def receive(self) -> list[wire.Event]:
        """The events in the next bytes. Raises ScanError at a missed deadline, RemoteProtocolError, ConnectionError."""
        if self._fault:
            raise self._fault
        if self.wire.has_more:
            await asyncio.sleep(0)  # others are served in between
            return self._events_of(self.wire.more)
        seconds, sentence = self._deadlines.next(self.wire.their_state)
        before, self._reads = time.monotonic(), True
        try:
            async with asyncio.timeout(seconds):
                data = await self._gathered()
        except TimeoutError:
            raise ScanError(sentence) from None
        finally:
            self._reads = False
        self._record(data)
        events = self._events_of(partial(self.wire.receive_data, data))
        if not self._fault:
            self._deadlines.received(len(data), time.monotonic() - before, self.wire.message_index)
        return events

    def _events_of(self, receive: Callable[[], list[wire.Event]]) -> list[wire.Event]:
        try:
            events = receive()
        except wire.RemoteProtocolError as error:
            # valid events come first; otherwise the result would depend on how TCP divides the stream
            events, error.events = error.events, []
            self._fault = error
        self.said_close = any(isinstance(event, wire.Close) for event in events)
        return events

    async def _gathered(self) -> memoryview:
        """The next bytes; those of a scan as many at once as come within `GATHER_S`."""
        if self.wire.their_state is not wire.State.STREAMING or sys.platform != "linux":
            return await self._stream.read(READ_BYTES)
        self._wake_at(GATHER_BYTES)
        timer = asyncio.get_running_loop().call_later(GATHER_S, self._wake_at, 1)
        try:
            return await self._stream.read(GATHER_BYTES)
        finally:
            timer.cancel()

    def _wake_at(self, n_bytes: int) -> None:
        """Have the system report received bytes when there are so many, or when it has no room for more."""
        sock = self._stream.transport.get_extra_info("socket")
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)

    def write(self, *events: wire.Event) -> None:
        """Send events without waiting until the client reads them. After CLOSE, nothing is sent any more."""
        for event in events:
            if self.wire.our_state is wire.State.STREAMING:
                for part in self.wire.send(event):
                    self._stream.write(part)

    async def send(self, *events: wire.Event) -> None:
        """Send events, and wait while too much is unsent.

        Raises ScanError if the client does not read, and ConnectionError.
        """
        self.write(*events)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._stream.drain()
        except TimeoutError:
            raise ScanError(f"The client did not read what it was sent for {self._patience_s:g} s.") from None

    def allow_unsent(self, n_bytes: int) -> None:
        """Let so many bytes be unsent before `send` waits."""
        self._stream.transport.set_write_buffer_limits(high=n_bytes)

    async def flush(self) -> None:
        """Wait until everything is sent. Raises ScanError if the client does not read, and ConnectionError."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._stream.flush()
        except TimeoutError:
            raise ScanError(f"The client did not read its last images for {self._patience_s:g} s.") from None

    async def drain(self, seconds: float) -> None:
        """Read and ignore everything until the client closes the connection.

        If a socket is closed with unread bytes, TCP discards the data that the client has not read yet, and with them
        the server's last messages.
        """
        self._patience_s = min(self._patience_s, max(seconds, GOODBYE_S))
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while data := await self._stream.read(READ_BYTES):
                    if not self.said_close:
                        self._record(data)

    async def gone(self) -> None:
        """Wait until the client has vanished, also while its bytes are not read."""
        while not self.is_gone():
            await asyncio.sleep(WATCH_S)

    def is_gone(self) -> bool:
        """Whether the client has vanished, also while its bytes are not read.

        A client may stop sending after CLOSE and wait for its images; the last bytes that wait to be read say whether
        it has sent CLOSE.
        """
        fd = self._stream.transport.get_extra_info("socket").fileno()
        if fd < 0:
            return True
        poll = select.poll()
        poll.register(fd, HUNG_UP)
        events = dict(poll.poll(0)).get(fd, 0)
        if events & (select.POLLERR | select.POLLHUP):
            return True
        if not events or self._reads or self.said_close:
            return False  # bytes that were sent before the client left are read first, and answered
        with socket.socket(fileno=os.dup(fd)) as copy:
            try:
                waiting = copy.recv(1 << 24, socket.MSG_PEEK)
            except OSError:
                return False
        return not (self.wire.tail + waiting).endswith(CLOSE_BYTES)

    def abort(self) -> None:
        """Close the connection at once."""
        self._stream.abort()

    async def sync_recording(self) -> None:
        """Wait until the recording is on the disk."""
        if self._recorder:
            with suppress(OSError, ValueError):
                await asyncio.to_thread(self._recorder.sync)

    def forget_recording(self) -> None:
        """Delete the recording."""
        if self._recorder:
            self._recorder.path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Close the connection when the client has read everything; a client that does not read loses the rest."""
        self.wire.close()
        try:
            await self._close_stream()
            await self.sync_recording()
        finally:
            self._stop_recording()
            self._stream.abort()

    async def _close_stream(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._stream.flush()
            if self._stream.end():
                await self.drain(GOODBYE_S)
            async with asyncio.timeout(self._patience_s):
                await self._stream.close()
        except TimeoutError:
            self._log.error("The client did not take its last messages.")
        except ConnectionError:
            pass  # it has left

    def _record(self, data: memoryview) -> None:
        """Record received bytes; the recording begins with the first of them."""
        if self._recordings is None or not data or self.unrecorded:
            return
        try:
            if self._recorder is None:
                self._recorder = self._recordings.new(self._session)
            self._recordings.write(self._recorder, data)
        except OSError as error:
            self.unrecorded = error.strerror or str(error)
            self._log.error("Session %s is not recorded from here on: %s.", self._session, error)
            self._stop_recording()

    def _stop_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder and self._recordings:
            self._recordings.ended(recorder)
