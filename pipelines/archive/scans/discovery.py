"""The scan files in a folder and in the folders below it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spokestream.errors import FileError, InputError, SpokestreamError
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.map_file import holds_images
from spokestream.pipelines.files.message_scan import holds_messages

__all__ = ["FoundScan", "find_scans"]

HDF5_ENDINGS = (".h5", ".hdf5", ".ismrmrd")
ENDINGS = (*HDF5_ENDINGS, ".mrd", ".stream", ".spokes")
"""Endings of files that are taken for scans, so that a damaged one is reported. Streams and recordings are found under
any name."""
TRUTH_ENDING = ".truth.h5"
"""The simulator's file of true maps, which lies beside its scan."""


@dataclass(frozen=True)
class FoundScan:
    """A scan file."""

    name: str
    """Path relative to the folder of the archive, without the ending `.h5`; also the folder of its results."""
    path: Path


def find_scans(archive: Path, results: Path) -> list[FoundScan]:
    """The scans, sorted by name.

    Hidden files and folders, the folder of the results, files of maps, and the true maps of simulated scans are left
    out.

    Raises InputError if there is no scan, or if two files would have the same folder of results.

    """
    scans = [
        FoundScan(_name(path.relative_to(archive.absolute())), path)
        for path in _files(archive, results)
        if _is_scan(path)
    ]
    if not scans:
        raise InputError(f"There is no scan in {archive} or below it: no file ends with {', '.join(ENDINGS)}.")
    by_name: dict[str, Path] = {}
    for scan in scans:
        if (other := by_name.setdefault(scan.name, scan.path)) is not scan.path:
            raise InputError(f"{other} and {scan.path} would have the same folder of results; rename one of them.")
    return sorted(scans, key=lambda scan: scan.name)


def _files(archive: Path, results: Path) -> Iterator[Path]:
    """All files that are not hidden, and not below the results."""
    left_out = results.resolve()
    for folder, below, names in os.walk(archive.absolute(), onerror=_unreadable):
        below[:] = sorted(
            name for name in below if not name.startswith(".") and (Path(folder) / name).resolve() != left_out
        )
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _unreadable(error: OSError) -> None:
    raise FileError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _name(path: Path) -> str:
    return path.with_suffix("").as_posix() if path.suffix == ".h5" else path.as_posix()


def _is_scan(path: Path) -> bool:
    """Whether a file is a scan, or looks like one and is damaged."""
    if path.name.endswith(TRUTH_ENDING):
        return False
    try:
        if path.suffix.lower() in HDF5_ENDINGS:
            return not holds_images(path) or _holds_acquisitions(path)
        return path.suffix.lower() in ENDINGS or holds_messages(path)
    except (OSError, SpokestreamError):
        return path.suffix.lower() in ENDINGS


def _holds_acquisitions(path: Path) -> bool:
    """Whether a file that holds images holds a scan, too."""
    try:
        read_scan(path)
    except SpokestreamError:
        return False
    return True
