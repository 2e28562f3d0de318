"""TLS below the stream of messages: what server and client trust, and a socket of a client that two threads may use."""

import socket
import ssl
import threading
from pathlib import Path

from spokestream.errors import FileError, SpokestreamError

__all__ = ["TlsError", "TlsSocket", "client_context", "server_context"]

READ_BYTES = 1 << 18


class TlsError(SpokestreamError):
    """The two ends of a connection do not agree on TLS, or do not trust each other."""


def server_context(certificate: Path, key: Path, clients: Path | None) -> ssl.SSLContext:
    """What a server shows to its clients, and which clients it takes.

    Args:
        certificate: file (PEM) with the server's certificate, and those that lead to its authority.
        key: file (PEM) with the certificate's private key, without a password.
        clients: file (PEM) with the authorities of clients. Without it, clients need no certificate.

    Raises FileError, in one sentence, for files that cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key)
    if clients is not None:
        _trust(context, clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authorities: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Which server a client takes, and what it shows to it.

    Args:
        authorities: file (PEM) with the authority of the server's certificate, or that certificate.
        certificate: file (PEM) with the client's own certificate.
        key: file (PEM) with its private key, without a password.

    Raises FileError, in one sentence, for files that cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the certificate, and the name of the host in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _trust(context, authorities)
    if certificate is not None and key is not None:
        _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        _check_readable(path)
    try:
        # an empty password, because otherwise the library would ask for it on the terminal
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise FileError(
            f"{certificate} and {key} are no certificate and its key without a password, both in PEM form "
            f"({error.reason or error})."
        ) from None


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    _check_readable(authorities)
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise FileError(f"{authorities} holds no certificates in PEM form ({error.reason or error}).") from None


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None


class TlsSocket:
    """A connected socket with TLS on it, at the client's end; the handshake is done when it exists.

    One thread may send while another receives, which an `ssl.SSLSocket` does not allow.

    Args:
        sock: the connected socket, whose timeout holds for the handshake and afterwards.
        context: from `client_context`.
        host: the name or address that the server's certificate must have.

    Raises TlsError, in one sentence, if the handshake fails, and OSError.

    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._heard = False
        """Whether the server has sent anything after the handshake."""
        self._state, self._order = threading.Lock(), threading.Lock()
        try:
            self._shake_hands()
        except ssl.SSLCertVerificationError as error:
            raise TlsError(f"The certificate of {host} is not accepted: {error.verify_message}.") from None
        except ssl.SSLError as error:
            raise TlsError(
                f"{host} does not answer in TLS ({error.reason or error}); is it served with --tls-certificate?"
            ) from None

    def __enter__(self) -> "TlsSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def sendall(self, data: bytes) -> None:
        """Send all data. Raises ConnectionError if the server has ended the encryption, and OSError."""
        with self._order:
            with self._state:
                try:
                    self._tls.write(data)
                except ssl.SSLError as error:  # whoever receives knows the cause
                    raise ConnectionResetError(str(error)) from None
                records = self._outgoing.read()
            self._sock.sendall(records)

    def recv(self, most: int) -> bytes:
        """Received data, at most so many bytes; none at the end.

        Raises TlsError, in one sentence, if the server ends before it has sent anything, and OSError.
        """
        while True:
            with self._state:
                try:
                    data = self._tls.read(most)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    # a server that wants a certificate says so after the handshake, or just hangs up
                    if not self._heard:
                        raise self._ended(error.reason or str(error)) from None
                    return b""
                else:
                    self._heard = True
                    return data
            try:
                self._feed()
            except ConnectionError as error:
                if self._heard:
                    raise
                raise self._ended(error.strerror or str(error)) from None

    def settimeout(self, seconds: float | None) -> None:
        """The time after which sending and receiving raise TimeoutError."""
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """The time of `settimeout`."""
        return self._sock.gettimeout()

    def shutdown(self, how: int) -> None:
        """End the connection below the encryption; wakes a thread that receives."""
        self._sock.shutdown(how)

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._outgoing.read())
                self._feed()
                continue
            self._sock.sendall(self._outgoing.read())
            return

    def _ended(self, reason: str) -> TlsError:
        return TlsError(
            f"The server ended the connection after the TLS handshake ({reason}); "
            "it may ask for a certificate of its authority (--certificate and --key)."
        )

    def _feed(self) -> None:
        """Wait for encrypted bytes."""
        data = self._sock.recv(READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
