"""An accepted client becomes a stream of bytes, encrypted if the server has a certificate."""

import asyncio
import socket
import ssl
from contextlib import suppress

from spokestream.errors import ScanError
from spokestream.pipelines.node.byte_stream import ByteStream
from spokestream.pipelines.tls import TlsError

__all__ = ["dismiss", "stream_of"]

READ_BYTES = 1 << 18
HANDSHAKE = b"\x16"
"""The first byte of every TLS connection. Messages of a client begin with an id below 8."""


async def stream_of(client: socket.socket, tls: ssl.SSLContext | None, seconds: float) -> ByteStream:
    """The stream of a client, after the handshake if there is one.

    Args:
        client: the socket, which does not block.
        tls: what the server shows and whom it takes, or None if nothing is encrypted.
        seconds: time for the first byte of a client, and then for the handshake.

    Raises ScanError for a client that does not speak TLS, TlsError if the handshake fails, and ConnectionError for a
    client that has left or does not end the handshake. The caller closes the socket then.

    """
    loop = asyncio.get_running_loop()
    if tls is None:
        return (await loop.connect_accepted_socket(ByteStream, client))[1]
    try:
        first = await _first_byte(client, seconds)
    except asyncio.CancelledError:  # the server stops
        client.close()
        raise
    if first != HANDSHAKE:
        raise ScanError("This port is encrypted: connect with TLS (`spokestream send --tls CA_FILE`).")
    try:
        return (await loop.connect_accepted_socket(ByteStream, client, ssl=tls, ssl_handshake_timeout=seconds))[1]
    except ssl.SSLError as error:
        raise TlsError(f"The TLS handshake failed ({error.reason or error}).") from None


async def dismiss(client: socket.socket, said: bytes, seconds: float) -> None:
    """Send the last words to a client, and read until it leaves: TCP would discard them if it were closed at once."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        async with asyncio.timeout(seconds):
            await loop.sock_sendall(client, said)
            client.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(client, READ_BYTES):
                pass


async def _first_byte(client: socket.socket, seconds: float) -> bytes:
    """The first byte of a client, which is left to be read."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(client, ready.set)
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        raise ScanError(f"The client sent nothing in {seconds:g} s.") from None
    finally:
        loop.remove_reader(client)
    if byte := client.recv(1, socket.MSG_PEEK):
        return byte
    raise ConnectionResetError("it sent nothing")
