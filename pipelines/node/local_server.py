"""A server in a thread of this process: the whole way of a scanner's data without a second terminal."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spokestream.pipelines.node.server import Server, ServerSettings
from spokestream.pipelines.node.session import PipelineSelection

__all__ = ["local_server"]


@contextmanager
def local_server(
    record_dir: Path | None = None, select: Callable[[str], PipelineSelection] | None = None
) -> Iterator[int]:
    """Serve on a free port of the loopback while the context lasts; gives the port. `select` as in `Server`."""
    server = Server(ServerSettings(port=0, record_dir=record_dir), select)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="spokestream-server")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield server.port
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
