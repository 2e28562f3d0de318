"""Settings of the node's page, and of its log."""

from dataclasses import dataclass
from pathlib import Path

from spokestream.errors import InputError
from spokestream.settings import check_settings, setting

__all__ = ["LOOPBACK", "ConsoleSettings"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_TOKEN = 16
"""Fewest characters of a token: 16 random letters and digits are 95 bits, too many to guess."""


@dataclass(frozen=True)
class ConsoleSettings:
    """Settings of the page. Raises InputError for values that are not allowed."""

    http: int | None = setting(
        None,
        meaning="Port of health, metrics and the page of the node; 0 takes a free one, by default there is none.",
        low=0,
        high=65535,
    )
    http_host: str = setting("127.0.0.1", meaning="Address of the page; any but the loopback needs a token.")
    http_token: str | None = setting(
        None, meaning=f"Secret of {SHORTEST_TOKEN} characters or more that opens the page; by default none is needed."
    )
    history: Path | None = setting(
        None, meaning="Folder that keeps the maps of the last scans; by default they are lost when the node stops."
    )
    history_scans: int = setting(
        200, meaning="Most scans in the history; the oldest are deleted first.", low=1, high=1000
    )
    history_bytes: int = setting(
        4 << 30,
        meaning="Largest size of the history; the oldest scans are deleted first.",
        unit="bytes",
        low=1 << 20,
        high=1 << 50,
    )
    log: str = setting(
        "text", meaning="Form of the log: lines for people, or one JSON object a line.", choices=("text", "json")
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.http_token is not None and len(self.http_token) < SHORTEST_TOKEN:
            raise InputError(f"The setting http_token needs {SHORTEST_TOKEN} characters or more.")
        if self.http_host not in LOOPBACK and self.http_token is None:
            raise InputError(
                f"On the address {self.http_host[:64]} anyone in the network could open the page; set http_token, or "
                "leave http_host at 127.0.0.1."
            )
