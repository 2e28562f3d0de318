"""News for open pages, as server-sent events."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

__all__ = ["Live"]

PAUSE_S = 0.2
"""Time between two messages, so that a fast scan does not keep the pages busy."""
SILENCE_S = 15.0
"""Longest time without a message. A lost connection is noticed when it is next written to."""
MOST_PAGES = 64


class Live:
    """Sends the current state to every open page, at once and after each change.

    Args:
        state: gives the state, which JSON can represent.

    """

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._pages: set[asyncio.Event] = set()
        self._stopped = False

    def changed(self) -> None:
        """Tell all pages that the state has changed."""
        for news in self._pages:
            news.set()

    def stop(self) -> None:
        """End all streams."""
        self._stopped = True
        self.changed()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve one page until it is closed."""
        if len(self._pages) >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already.")
        news = asyncio.Event()
        self._pages.add(news)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        try:
            await response.prepare(request)
            while not self._stopped:
                news.clear()
                await response.write(f"data: {json.dumps(self._state(), ensure_ascii=False)}\n\n".encode())
                await asyncio.sleep(PAUSE_S)
                try:
                    async with asyncio.timeout(SILENCE_S):
                        await news.wait()
                except TimeoutError:
                    pass
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._pages.discard(news)
        return response
