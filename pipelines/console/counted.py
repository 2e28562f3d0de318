"""A connection that counts: beyond a number of them, in all and of one address, new ones are closed at once."""

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

    """

    def __init__(self, inner: asyncio.Protocol, addresses: Counter[str], most: int, most_of_address: int) -> None:
        self._inner, self._addresses = inner, addresses
        self._most, self._most_of_address = most, most_of_address
        self._address: str | None = None
        """The address; None if the connection is not served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection begins."""
        address = str((transport.get_extra_info("peername") or [""])[0])
        if self._addresses.total() >= self._most or self._addresses[address] >= self._most_of_address:
            transport.close()
            return
        self._address = address
        self._addresses[address] += 1
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
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

    def resume_writing(self) -> None:
        """Few bytes are unsent."""
        self._inner.resume_writing()
