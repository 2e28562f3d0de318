"""The worker that reconstructs one scan, as a session uses it."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

import ismrmrd

__all__ = ["SendImage", "Worker", "Workers"]

SendImage: TypeAlias = Callable[[ismrmrd.Image], Coroutine[Any, Any, None]]
"""Sends an image to the client; waits while the client does not read."""


class Worker(Protocol):
    """Reconstructs one scan. It is used in the event loop."""

    @property
    def held(self) -> int:
        """Bytes of items that wait."""

    def see(self, header: object) -> None:
        """Note the header of the next item."""

    async def put(self, messages: bytes) -> None:
        """Give the next items, as whole messages, and wait while too many bytes wait.

        Messages of any size are taken if none waits.
        """

    def end(self) -> None:
        """Mark the end of the items."""

    async def wait(self) -> None:
        """Wait until the last image was sent. Raises the error that ended the scan."""

    def abandon(self) -> None:
        """Make the scan stop soon, because nobody waits for it any more."""

    async def stopped(self) -> None:
        """Wait until nothing of the scan runs any more, with or without an error."""


class Workers(Protocol):
    """Starts a worker for every scan."""

    scan_bytes: int
    """Memory of a scan besides that of its chain."""
    kept_bytes: int
    """Memory that is in use while there is no scan, and therefore never for scans."""

    async def start(self) -> None:
        """Prepare what scans need. Raises SpokestreamError if that is not possible."""

    def begin(self, selection: Any, header_xml: str, log: logging.Logger, send: SendImage, queue_bytes: int) -> Worker:
        """The worker of a scan, of which so many bytes of items may wait."""

    async def stop(self) -> None:
        """Release everything."""
