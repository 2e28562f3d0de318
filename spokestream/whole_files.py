"""Files and folders that are written completely or not at all, also when the disk is full.

HDF5 cannot close a file that it cannot write, and ends the process when it tries. `whole_hdf5` therefore gives HDF5 a
file that remembers what the disk refused, so that HDF5 closes it in peace, and reports the error afterwards.
"""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spokestream.errors import FileError

if TYPE_CHECKING:
    import h5py

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
def whole_hdf5(path: Path) -> "Iterator[h5py.File]":
    """A new HDF5 file, which appears under `path` when it is complete. Raises FileError like `whole_file`."""
    import h5py

    with whole_file(path) as draft, _PatientFile(draft) as disk:
        try:
            with h5py.File(disk, "w") as file:
                try:
                    yield file
                    file.flush()
                finally:
                    disk.patient = True
        finally:
            if disk.refused:  # HDF5 reports some refusals as errors of its own
                raise disk.refused


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A draft folder inside `folder`, whose files are moved into `folder` at the end, and deleted after an error.

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
            for file in sorted(draft.iterdir()):
                file.replace(folder / file.name)
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


class _PatientFile(io.FileIO):
    """A file that keeps in memory what the disk refuses. The first refusal is an error, unless the file is patient."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.patient = False
        self.refused: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        start = self.tell()
        written = 0
        try:
            while not self.refused and written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self.refused = error
        if written < len(view):
            self._kept.append((start, bytes(view)))
            self.seek(start + len(view))
            self._complain()
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.refused = self.refused or error
            self._complain()
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

    def _complain(self) -> None:
        if self.refused and not self.patient:
            self.patient = True
            raise self.refused
