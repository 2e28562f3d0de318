"""The connection of one client as a stream of bytes, which are received in pieces as large as the reader asks for."""

import asyncio
import ssl
from typing import Any, cast

import numpy as np

__all__ = ["ByteStream"]


class ByteStream(asyncio.BufferedProtocol):
    """What a client sends, and what it is sent.

    The socket is read only while `read` waits, and into the memory that `read` returns. The streams of asyncio would
    copy every byte twice more, and hand over at most 256 KiB at a time.

    The event loop makes the object and calls the methods of `asyncio.BufferedProtocol`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._memory = self._received = memoryview(b"")
        self._reader: asyncio.Future[None] | None = None
        """Done when `read` may continue."""
        self._writable, self._lost = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._ended = False
        self._error: ConnectionError | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, for the size of its buffer, its socket, and to abort it."""
        assert self._transport is not None
        return self._transport

    async def read(self, n_bytes: int) -> memoryview:
        """At least one byte that the client sends, at most `n_bytes`, or none if it sends no more.

        Raises ConnectionError if the connection is lost by an error.
        """
        if not (self._received or self._ended or self._error):
            self._memory = np.empty(n_bytes, np.uint8).data
            self._reader = self._loop.create_future()
            self.transport.resume_reading()
            try:
                await self._reader
            finally:
                self._reader = None
                self.transport.pause_reading()
        if self._error and not self._received:
            raise self._error
        received, self._received, self._memory = self._received, memoryview(b""), memoryview(b"")
        return received

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes without waiting until they are sent."""
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait while too many bytes are unsent. Raises ConnectionError if the connection is lost."""
        if self._error:
            raise self._error
        await self._writable.wait()
        if self._lost.is_set():
            raise self._error or ConnectionResetError("the connection is lost")

    async def flush(self) -> None:
        """Wait until everything is sent. Raises ConnectionError if the connection is lost."""
        self.transport.set_write_buffer_limits(high=1, low=0)  # at 0, an encrypted connection would wait for ever
        await self.drain()

    def end(self) -> bool:
        """Say to the client that it is sent nothing more; returns whether the connection can say so."""
        if self._lost.is_set() or not self.transport.can_write_eof():
            return False
        try:
            self.transport.write_eof()
        except OSError:  # the client has just reset the connection
            return False
        return True

    async def close(self) -> None:
        """Send what is unsent, and close the connection; returns when it is closed."""
        self.transport.close()
        await self._lost.wait()

    def abort(self) -> None:
        """Close the connection at once."""
        if not self._lost.is_set():  # of a transport that has ended, nothing is left to close
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection begins."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> Any:
        """The memory for the next bytes."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        self._received = self._memory[:nbytes]
        self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The client sends no more. The connection stays open for what it is sent, except if it is encrypted."""
        self._ended = True
        self._wake()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended. Broken encryption is to a session what a broken connection is."""
        self._ended = True
        if isinstance(exc, ConnectionError):
            self._error = exc
        elif isinstance(exc, OSError | ssl.SSLError):
            self._error = ConnectionResetError(str(exc))
        self._lost.set()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """Too many bytes are unsent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Few bytes are unsent."""
        self._writable.set()

    def _wake(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)
