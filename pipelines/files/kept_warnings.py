"""The warnings of a reconstruction, kept for its report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_warnings"]


@contextmanager
def kept_warnings(kept: list[str]) -> Iterator[None]:
    """Add the warnings of this software to a list while the context lasts."""

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    handler, log = Keeper(logging.WARNING), logging.getLogger("spokestream")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
