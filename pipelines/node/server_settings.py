"""The settings of the server."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from spokestream.errors import InputError
from spokestream.pipelines.node.memory.budget import bytes_of, default_memory
from spokestream.pipelines.tls import server_context
from spokestream.settings import check_settings, setting

__all__ = ["ServerSettings"]


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the server. Raises InputError for values that are not allowed."""

    host: str = setting("127.0.0.1", meaning="Address to listen on; 0.0.0.0 accepts clients from every network.")
    port: int = setting(9002, meaning="TCP port; 0 takes a free one.", low=0, high=65535)
    role: str = setting(
        "server",
        meaning="Whether clients connect, or Gadgetrons whose configuration has a <connect> to this port.",
        choices=("server", "gadgetron"),
    )
    pipeline: str = setting("auto", meaning="Pipeline of scans that name none, as FIRE and OpenRecon may do.")
    max_sessions: int = setting(
        4, meaning="Scans that are reconstructed, or wait for memory, at once.", low=1, high=1000
    )
    memory: str | None = setting(
        None, meaning="Memory of the node, such as 8GiB; by default 0.6 of that of the machine or its cgroup."
    )
    max_waiting: int = setting(8, meaning="Scans that may wait for memory at once.", low=0, high=1000)
    max_connections: int = setting(64, meaning="Connections at once.", low=1, high=10_000)
    max_connections_per_address: int = setting(32, meaning="Connections at once from one address.", low=1, high=10_000)
    record: Path | None = setting(
        None, meaning="Folder in which the received bytes of every session are kept; by default they are not."
    )
    record_gib: float = setting(
        100.0, meaning="Size of all recordings above which the oldest are deleted.", unit="GiB", low=0.001, high=1e6
    )
    record_days: float = setting(
        30.0, meaning="Age at which recordings are deleted.", unit="days", low=0.001, high=36500
    )
    first_byte_s: float = setting(
        30.0, meaning="Time for a client to send its first byte.", unit="s", low=0.01, high=86400
    )
    opening_s: float = setting(
        60.0, meaning="Time for a client to send configuration and header.", unit="s", low=0.01, high=86400
    )
    idle_timeout_s: float = setting(
        300.0, meaning="Silence of a client, or refusal to read, that ends its session.", unit="s", low=0.01, high=86400
    )
    min_rate: float = setting(
        1000.0,
        meaning="Rate at which a message must come, in the mean after 30 s of waiting for its bytes.",
        unit="bytes/s",
        low=0,
        high=1e9,
    )
    session_s: float = setting(
        14400.0, meaning="Time after which every session is ended.", unit="s", low=0.01, high=1e7
    )
    queue_bytes: int = setting(
        256 << 20,
        meaning="Data of one scan that may wait to be reconstructed before the client has to wait; at most an eighth "
        "of its memory.",
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

    tls_certificate: Path | None = setting(
        None, meaning="Certificate of the node (PEM), with which all connections are encrypted; by default none is."
    )
    tls_key: Path | None = setting(None, meaning="Private key of the certificate (PEM), without a password.")
    tls_clients: Path | None = setting(
        None,
        meaning="Certificates (PEM) of authorities of which clients need a certificate; by default they need none.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        _ = self.memory_bytes
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InputError("The settings tls_certificate and tls_key need each other.")
        if self.tls_clients is not None and self.tls_certificate is None:
            raise InputError("The setting tls_clients needs tls_certificate and tls_key.")

    @property
    def memory_bytes(self) -> int:
        """`memory` as a number of bytes."""
        return default_memory() if self.memory is None else bytes_of(self.memory)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What the server shows to its clients and which it takes, or None without a certificate. Raises FileError."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return server_context(self.tls_certificate, self.tls_key, self.tls_clients)
