"""What a scan file holds, so that a finished scan is recognised and a copy is reconstructed once."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["FileState", "copies", "digest_of", "state_of"]

PIECE = 64 << 10
"""Bytes of each of the three pieces by which files of the same size are first compared."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class FileState:
    """Size and time of the last change of a file; as long as both are the same, its content is not read again."""

    n_bytes: int
    changed_ns: int


def state_of(path: Path) -> FileState:
    """The state of a file. Raises OSError if it cannot be read."""
    status = path.stat()
    return FileState(status.st_size, status.st_mtime_ns)


def digest_of(path: Path) -> str:
    """The SHA-256 of the content. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copies(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two or more files with the same content, in the order of their first file.

    Only files of the same size whose beginning, middle and end are equal are read as a whole. Files that cannot be read
    are in no group.
    """
    groups = [list(paths)]
    for key in (lambda path: state_of(path).n_bytes, _pieces, digest_of):
        groups = [alike for group in groups for alike in _alike(group, key)]
    return groups


def _alike(paths: list[Path], key: Callable[[Path], Key]) -> list[list[Path]]:
    by_key: dict[Key, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            by_key[key(path)].append(path)
        except OSError:
            continue
    return [group for group in by_key.values() if len(group) > 1]


def _pieces(path: Path) -> bytes:
    """The beginning, the middle and the end of a file."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        pieces = []
        for start in (0, (n_bytes - PIECE) // 2, n_bytes - PIECE):
            file.seek(max(0, start))
            pieces.append(file.read(PIECE))
    return b"".join(pieces)
