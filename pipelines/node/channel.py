"""The socket of one session: it receives and records events, sends events, and limits how long it waits."""

import asyncio
import logging
from contextlib import suppress

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.recording import Recorder

__all__ = ["Channel"]

READ_BYTES = 1 << 18


class Channel:
    """The server's side of a wire connection on an asyncio stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        recorder: Recorder | None,
        patience_s: float,
        log: logging.Logger,
    ) -> None:
        self.wire = wire.Connection(wire.Role.SERVER)
        self.recorder = recorder
        self._reader, self._writer = reader, writer
        self._patience_s = patience_s
        self._fault: wire.RemoteProtocolError | None = None
        self._log = log

    async def receive(self) -> list[wire.Event]:
        """The events in the next bytes. Raises ScanError after a long silence, RemoteProtocolError, ConnectionError."""
        if self._fault:
            raise self._fault
        try:
            async with asyncio.timeout(self._patience_s):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise ScanError(f"The client was silent for {self._patience_s:g} s.") from None
        self._record(data)
        try:
            return self.wire.receive_data(data)
        except wire.RemoteProtocolError as error:
            # valid events come first; otherwise the result would depend on how TCP divides the stream
            events, error.events = error.events, []
            self._fault = error
            return events

    def write(self, *events: wire.Event) -> None:
        """Send events without waiting until the client reads them. After CLOSE, nothing is sent any more."""
        for event in events:
            if self.wire.our_state is wire.State.STREAMING:
                for part in self.wire.send(event):
                    self._writer.write(part)

    async def send(self, *events: wire.Event) -> None:
        """Send events, and wait while too much is unsent.

        Raises ScanError if the client does not read, and ConnectionError.
        """
        self.write(*events)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._writer.drain()
        except TimeoutError:
            raise ScanError(f"The client did not read what it was sent for {self._patience_s:g} s.") from None

    async def drain(self, seconds: float) -> None:
        """Read and ignore everything until the client closes the connection.

        If a socket is closed with unread bytes, TCP discards the data that the client has not read yet, and with them
        the server's last messages.
        """
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(READ_BYTES):
                    self._record(data)

    async def close(self) -> None:
        """Close the connection when the client has read everything; a client that does not read loses the rest."""
        self._stop_recording()
        self.wire.close()
        self._writer.close()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self._log.error("The client did not take its last messages.")
        except ConnectionError:
            pass  # the client has closed the connection already
        finally:
            self._writer.transport.abort()

    def _record(self, data: bytes) -> None:
        if self.recorder and data:
            try:
                self.recorder.write(data)
            except OSError as error:
                self._log.error("The recording %s stops here: %s.", self.recorder.path, error)
                self._stop_recording()

    def _stop_recording(self) -> None:
        if self.recorder:
            with suppress(OSError):
                self.recorder.close()
            self.recorder = None
