"""The socket of one session: bytes become events and are recorded, events become bytes, silence has an end."""

import asyncio
import logging
from contextlib import suppress

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.node.recording import Recorder

__all__ = ["Channel"]

READ_BYTES = 1 << 18


class Channel:
    """A wire connection on an asyncio stream, seen from the server."""

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
        """What the next bytes say. Raises ScanError after a long silence, RemoteProtocolError, ConnectionError."""
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
            # first what was properly said; else the outcome would depend on how TCP cut the stream
            self._fault = error
            return error.events

    def write(self, *events: wire.Event) -> None:
        """Say it without waiting until the peer takes it; after CLOSE nothing is said any more."""
        for event in events:
            if self.wire.our_state is wire.State.STREAMING:
                for part in self.wire.send(event):
                    self._writer.write(part)

    async def say(self, *events: wire.Event) -> None:
        """Say it, and wait while too much is unsent. Raises ScanError when the peer does not read, ConnectionError."""
        self.write(*events)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._writer.drain()
        except TimeoutError:
            raise ScanError(f"The client did not read what it was sent for {self._patience_s:g} s.") from None

    async def drain(self, seconds: float) -> None:
        """Read on without understanding, until the peer hangs up.

        Closing a socket with unread bytes makes TCP throw away what the peer has not yet read: our last words.
        """
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(READ_BYTES):
                    self._record(data)

    async def close(self) -> None:
        """Hang up when the peer has taken everything; a peer that does not read loses the rest."""
        self._stop_recording()
        self._writer.close()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self._log.error("The client did not take its last messages.")
        except ConnectionError:
            pass  # a client that has gone needs no goodbye
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
