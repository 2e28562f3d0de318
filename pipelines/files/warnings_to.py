"""The warnings of this software, for a report or for whoever reads the other end of a pipe."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["warnings_to"]


@contextmanager
def warnings_to(take: Callable[[str], None]) -> Iterator[None]:
    """Call a function with every warning while the context lasts."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            take(record.getMessage())

    handler, log = Handler(logging.WARNING), logging.getLogger("spokestream")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
