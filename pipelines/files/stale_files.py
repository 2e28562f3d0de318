"""Files that an earlier run left in a folder of results: they would be taken for results of the new one."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

__all__ = ["stale_files"]

LOG = logging.getLogger("spokestream")
MOST_NAMED = 10


def stale_files(
    folder: Path, written: Iterable[str], is_ours: Callable[[str], bool], inner: Sequence[str] = ()
) -> list[Path]:
    """The files in a folder, and in some of its folders, that are ours and are not written now; the log says so.

    Args:
        folder: the folder of the results.
        written: the files that are written now, relative to the folder.
        is_ours: whether this software may have written a file, given its path relative to the folder.
        inner: names of folders in the folder that are searched, too.

    """
    new = set(written)
    folders = [folder, *(folder / name for name in inner if (folder / name).is_dir())]
    inside = [path for place in folders for path in place.iterdir()]
    names = {path.relative_to(folder).as_posix(): path for path in inside if path.is_file()}
    stale = sorted(name for name in names if name not in new and is_ours(name))
    if stale:
        LOG.warning(
            "Deleted from %s what an earlier reconstruction wrote and this one does not: %s.",
            folder, ", ".join(stale[:MOST_NAMED]) + (f" and {n} more" if (n := len(stale) - MOST_NAMED) > 0 else ""),
        )  # fmt: skip
    return [names[name] for name in stale]
