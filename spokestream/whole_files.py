"""Files and folders that are written completely or not at all, also when the disk is full.

HDF5 ends the process when it cannot write. `whole_hdf5` therefore gives it a file that keeps in memory what the disk
refuses, so that HDF5 never sees an error and closes its file properly; the error is reported afterwards.
"""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from spokestream.errors import FileError

__all__ = ["check_writable", "whole_file", "whole_folder", "whole_hdf5", "writing"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to. It replaces `path` at the end, and is deleted after an error.

    The folder is made if it does not exist.

    Raises FileError with one sentence when the disk is full or the file may not be written.
    """
    draft = path.with_name(f".{path.name}.part")
    with writing(path):
        _make(path.parent)
        try:
            yield draft
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def whole_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, which appears under `path` when it is complete. Raises FileError like `whole_file`.

    A full disk is reported at the end, or when `flush` is called, which long work does between its parts.
    """
    with whole_file(path) as draft, _PatientFile(draft) as disk:
        with _File(disk) as file:
            yield file
            file.flush()
        disk.check()


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A draft folder inside `folder`, whose files are moved into `folder` at the end, and deleted after an error.

    Files in folders of the draft get to folders of the same names.

    The folder is made if it does not exist, and removed after an error if it was made. The draft is inside because the
    parent of a folder may be read-only or another disk.

    Raises FileError with one sentence when the folder cannot be written.
    """
    existed = folder.exists()
    with writing(folder):
        check_writable(folder)
        draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        try:
            yield draft
            for file in sorted(path for path in draft.rglob("*") if path.is_file()):
                place = folder / file.relative_to(draft)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.replace(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if not existed and not any(folder.iterdir()):
                folder.rmdir()


def check_writable(folder: Path) -> None:
    """Make the folder if it does not exist. Raises FileError, with one sentence, if no file can be made in it."""
    with writing(folder):
        _make(folder)
        tempfile.TemporaryFile(dir=folder).close()


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file; name a folder for the results.")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context that changes OSError into a FileError with one sentence about `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path} cannot be written: {reason[:1].lower()}{reason[1:]}.") from error


class _File(h5py.File):  # type: ignore[misc]
    def __init__(self, disk: "_PatientFile") -> None:
        super().__init__(disk, "w")
        self._disk = disk

    def flush(self) -> None:
        super().flush()
        self._disk.check()


class _PatientFile(io.FileIO):
    """A file that keeps in memory what the disk refuses, and raises the error of the disk only in `check`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self._refused: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the first error of the disk."""
        if self._refused:
            raise self._refused

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        start, written = self.tell(), 0
        try:
            while not self._refused and written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self._refused = error
        if written < len(view):
            self._kept.append((start, bytes(view)))
            self.seek(start + len(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._refused = self._refused or error
            return self.tell() if size is None else size

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        start = self.tell()
        n = super().readinto(view) or 0
        view[n:] = bytes(len(view) - n)
        for first, data in self._kept:  # in the order in which they were written
            low, high = max(first, start), min(first + len(data), start + len(view))
            if low < high:
                view[low - start : high - start] = data[low - first : high - first]
        self.seek(start + len(view))
        return len(view)
