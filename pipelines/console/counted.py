"""A connection that counts: there are at most so many, in all and of one address, and each has to read its answers."""

import asyncio
from collections import Counter
from typing import Any

__all__ = ["Counted"]


class Counted(asyncio.Protocol):
    """Passes a connection on to a protocol, unless there are too many.

    Args:
        inner: the protocol that serves the connection.
        addresses: the number of connections of every address.
        most: largest number of all connections.
        most_of_address: largest number of those of one address.
        silence_s: time after which a connection is closed whose peer has read nothing of an answer.

    """

    def __init__(
        self, inner: asyncio.Protocol, addresses: Counter[str], most: int, most_of_address: int, silence_s: float
    ) -> None:
        self._inner, self._addresses = inner, addresses
        self._most, self._most_of_address = most, most_of_address
        self._silence_s = silence_s
        self._transport: asyncio.WriteTransport | None = None
        self._check: asyncio.TimerHandle | None = None
        self._address: str | None = None
        """The address; None if the connection is not served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection begins."""
        address = str((transport.get_extra_info("peername") or [""])[0])
        if self._addresses.total() >= self._most or self._addresses[address] >= self._most_of_address:
            transport.close()
            return
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._address = address
        self._addresses[address] += 1
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_checking()
        if self._address is not None:
            self._addresses -= Counter([self._address])  # without the names of those that have none
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._address is not None:
            self._inner.data_received(data)

    def eof_received(self) -> Any:
        """The peer sends no more."""
        return self._inner.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        """Too many bytes are unsent."""
        self._inner.pause_writing()
        self._check_later()

    def resume_writing(self) -> None:
        """Few bytes are unsent."""
        self._stop_checking()
        self._inner.resume_writing()

    def _check_later(self) -> None:
        assert self._transport is not None
        unsent = self._transport.get_write_buffer_size()
        self._check = asyncio.get_running_loop().call_later(self._silence_s, self._check_progress, unsent)

    def _check_progress(self, unsent_before: int) -> None:
        assert self._transport is not None
        if self._transport.get_write_buffer_size() >= unsent_before:
            self._transport.abort()
        else:
            self._check_later()

    def _stop_checking(self) -> None:
        if self._check:
            self._check.cancel()
            self._check = None
