"""A folder of results in which one process works at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spokestream.whole_files import writing

__all__ = ["locked_folder"]


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder, and keep others out while the context lasts.

    Dask may give a task to a second worker while the first, which it no longer hears, still runs it. The lock ends with
    its process, also if that is killed. File systems without locks are used without one.

    The folder is made if it does not exist, and removed at the end if it is empty. Raises FileError if it cannot be
    made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()
        os.close(handle)
