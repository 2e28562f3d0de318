"""The console: an HTTP server beside the node, in the same event loop, that follows the node's scans."""

import asyncio
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from aiohttp import web

from spokestream import __version__
from spokestream.errors import FileError
from spokestream.pipelines.console.counted import Counted
from spokestream.pipelines.console.guard import add_security_headers, guard
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.live import Live
from spokestream.pipelines.console.metrics import CONTENT_TYPE, Metrics
from spokestream.pipelines.console.pages import pages_of_scans, static_pages
from spokestream.pipelines.console.running_scans import RunningScans
from spokestream.pipelines.console.settings import ConsoleSettings
from spokestream.pipelines.node.events import Observer
from spokestream.whole_files import check_writable

__all__ = ["Console", "Node", "image_bytes", "serve_with_console"]

LOG = logging.getLogger("spokestream.console")
LARGEST_REQUEST = 4096
"""Limit for each of: body, line and header field of a request, in bytes. All requests are short questions."""
TEMPORARY_BYTES = 512 << 20
"""Largest size of a history without a folder of its own: some systems keep temporary files in memory."""
MOST_IMAGE_BYTES = 512 << 20
"""Largest size of the images of all scans until they are in the history: 2,000 maps of 350 x 350 pixels of 16 bits."""
PART_OF_MEMORY = 8
"""Those images have at most one in so many bytes of the node's memory."""
MOST_CONNECTIONS, MOST_OF_ADDRESS = 400, 40
"""Connections to the page at the same time, in all and of one address. They share the file descriptors of the process
with the scanners'; a browser holds up to six."""
SILENCE_S = 75.0
"""Time after which a connection is closed on which no request comes, or no byte of an answer is read."""
READY_S = 1.0
"""Time for which the answer to whether recordings can be written holds: anybody may ask, and a file is written."""
GOODBYE_S = 2.0
"""Time in which answers that are under way are sent before the console stops."""


class Node(Protocol):
    """What the console asks the server, see `spokestream.pipelines.node.server.Server`."""

    @property
    def listening(self) -> bool:
        """Whether clients are accepted."""

    @property
    def queued_bytes(self) -> int:
        """Bytes of readouts that wait."""

    async def serve(self) -> int:
        """Serve scans until the node is stopped; returns the number of scans that were dropped then."""


class Console:
    """Health, metrics, live state, history and the page of one node.

    Args:
        settings: the settings; without a folder for the history, a temporary one is used.
        recordings: the folder of recordings, if sessions are recorded.
        most_held: size of the images of all scans, in bytes, that are kept in memory until they are in the history.

    Raises FileError if the folder of the history cannot be used.

    """

    def __init__(self, settings: ConsoleSettings, recordings: Path | None, most_held: int = MOST_IMAGE_BYTES) -> None:
        self.settings = settings
        self.port = settings.http or 0
        """The port of the page. If the setting is 0, it is known after `start`."""
        self._began = time.time()
        self._recordings = recordings
        self._temporary = None if settings.history else TemporaryDirectory(prefix="spokestream-history-")
        folder = settings.history or Path(self._temporary.name if self._temporary else "")
        most_bytes = settings.history_bytes if settings.history else min(settings.history_bytes, TEMPORARY_BYTES)
        self._history = History(folder, settings.history_scans, most_bytes)
        self._live = Live(self._state)
        self._scans = RunningScans(self._history, most_held, self._live.changed)
        self._metrics = Metrics()
        self._node: Node | None = None
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._addresses: Counter[str] = Counter()
        self._looking = asyncio.Lock()
        self._writable, self._looked = False, -math.inf

    @property
    def observers(self) -> Sequence[Observer]:
        """The observers of the node's scans."""
        return self._metrics.tell, self._scans.tell

    async def start(self, node: Node) -> None:
        """Answer requests from now on. Raises OSError if the port is not free."""
        self._node = node
        application = web.Application(middlewares=[guard(self.settings.http_token)], client_max_size=LARGEST_REQUEST)
        application.on_response_prepare.append(add_security_headers)
        pages = {
            **static_pages(), **pages_of_scans(self._history, self._scans), "/healthz": self._health,
            "/readyz": self._ready, "/metrics": self._count, "/api/live": self._live.stream,
        }  # fmt: skip
        application.add_routes([web.get(address, page) for address, page in pages.items()])
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=GOODBYE_S,
            max_line_size=LARGEST_REQUEST, max_field_size=LARGEST_REQUEST, keepalive_timeout=SILENCE_S,
        )  # fmt: skip
        await self._runner.setup()
        self._listener = await asyncio.get_running_loop().create_server(
            self._connected, self.settings.http_host, self.settings.http
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        host = f"[{self.settings.http_host}]" if ":" in self.settings.http_host else self.settings.http_host
        LOG.info("The page is on http://%s:%d.", host, self.port)

    async def stop(self) -> None:
        """Finish what is being written, and answer no more."""
        await self._scans.finish()
        self._live.stop()
        if self._listener:
            self._listener.close()
        if self._runner:
            await self._runner.cleanup()
        self._history.close()
        if self._temporary:
            await asyncio.to_thread(self._temporary.cleanup)

    def _state(self) -> dict[str, Any]:
        """What open pages are told: running scans, and whether the history has changed."""
        return {
            "version": __version__,
            "running": self._scans.summaries,
            "history": f"{self._began} {self._history.revision}",
            "trouble": self._scans.trouble,
        }

    def _connected(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        assert self._runner is not None
        pages = self._runner.server
        assert pages is not None
        return Counted(pages(), self._addresses, MOST_CONNECTIONS, MOST_OF_ADDRESS, SILENCE_S)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        ready = {
            "listening": self._node is not None and self._node.listening,
            "recordings": self._recordings is None or await self._can_record(self._recordings),
        }
        return web.json_response(ready, status=200 if all(ready.values()) else 503)

    async def _can_record(self, folder: Path) -> bool:
        async with self._looking:
            if time.monotonic() - self._looked > READY_S:
                self._writable = await asyncio.to_thread(_writable, folder)
                self._looked = time.monotonic()
            return self._writable

    async def _count(self, request: web.Request) -> web.Response:
        recordings, n_bytes = await asyncio.to_thread(_content, self._recordings)
        text = self._metrics.render(self._node.queued_bytes if self._node else 0, recordings, n_bytes)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


def image_bytes(memory_bytes: int) -> int:
    """The size of the images that the console of a node with so much memory keeps until they are in the history."""
    return min(MOST_IMAGE_BYTES, memory_bytes // PART_OF_MEMORY)


async def serve_with_console(console: Console, make_node: Callable[[Sequence[Observer]], Node]) -> int:
    """Serve scans and the page until the node is stopped; returns the number of scans that were dropped then.

    Args:
        console: the console, which answers before the node does.
        make_node: makes the node with the console's observers.

    """
    node = make_node(console.observers)
    try:
        await console.start(node)
        return await node.serve()
    finally:
        await console.stop()


def _writable(folder: Path) -> bool:
    try:
        check_writable(folder)
    except FileError:
        return False
    return True


def _content(folder: Path | None) -> tuple[int, int]:
    """Number and bytes of the recordings in a folder."""
    if folder is None or not folder.is_dir():
        return 0, 0
    sizes = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a recording may be deleted at any time
                if entry.name.endswith(".spokes"):
                    sizes.append(entry.stat().st_size)
    return len(sizes), sum(sizes)
