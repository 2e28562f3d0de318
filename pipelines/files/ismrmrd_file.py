"""Scans in ISMRMRD files. They are read in blocks, so that memory does not grow with the length of the scan."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
from ismrmrd.acquisition import AcquisitionHeader
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.pipelines.files.foreign_file import check_readable, foreign_file
from spokestream.pipelines.wire.header_text import header_text

__all__ = ["Scan", "read_scan"]

BLOCK_ROWS = 256
BLOCK_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 64 * 2**20
HEADER = np.dtype(AcquisitionHeader)  # the 340 bytes of the wire


@dataclass(frozen=True)
class Scan:
    """One measurement of an ISMRMRD file. Iterating opens the file, reads block by block and closes it again."""

    path: Path
    group: str
    xml: str
    n_acquisitions: int

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions in the order of the file, with all header fields as stored.

        Raises ScanError at a row whose arrays do not agree with its header, or that HDF5 cannot read.
        """
        with _hdf5(self.path) as file:
            table = file[self.group]["data"]
            row, n_rows = 0, 1  # the size of the first row determines how many rows fit a block
            while row < min(self.n_acquisitions, len(table)):
                block = table[row : row + n_rows]
                largest = 1
                for i, head in enumerate(_headers(block["head"])):
                    data, trajectory = block["data"][i], block["traj"][i]
                    largest = max(largest, data.nbytes + trajectory.nbytes)
                    yield _acquisition(head, data, trajectory, f"{self.path.name}, acquisition {row + i}")
                row += len(block)
                n_rows = min(BLOCK_ROWS, max(1, BLOCK_BYTES // largest))


def read_scan(path: str | Path) -> Scan:
    """Open the measurement of a file: the group `dataset`, or the only group with a header and data.

    Raises ScanError, with one sentence, if the file does not exist, is not HDF5, or has no header or no data.
    """
    path = Path(path)
    with _hdf5(path) as file:
        name = _measurement(file, path)
        table = file[name]["data"]
        if not isinstance(table, h5py.Dataset) or not _holds_acquisitions(table.dtype):
            raise ScanError(f"'{name}/data' in {path.name} is not a list of ISMRMRD acquisitions.")
        if table.ndim != 1 or not len(table):
            raise ScanError(f"{path.name} holds no acquisitions.")
        if len(table) > path.stat().st_size:  # even a compressed acquisition takes more than a byte
            raise ScanError(f"{path.name} is damaged: it lists {len(table)} acquisitions, more than it has bytes.")
        return Scan(path, name, _header_text(file[name]["xml"], path), len(table))


@contextmanager
def _hdf5(path: Path) -> Iterator[h5py.File]:
    """An open file. All errors of HDF5 and numpy about its contents become ScanErrors with one sentence."""
    check_readable(path)
    if not h5py.is_hdf5(path):
        raise ScanError(foreign_file(path))
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ScanError(f"{path} is damaged: {reason}.") from error


def _holds_acquisitions(dtype: np.dtype[Any]) -> bool:
    if not {"head", "data", "traj"} <= set(dtype.names or ()):
        return False
    arrays = [h5py.check_vlen_dtype(dtype[name]) for name in ("data", "traj")]
    return all(a is not None and a.kind == "f" for a in arrays)


def _measurement(file: h5py.File, path: Path) -> str:
    groups: dict[str, set[str]] = {name: set(item) for name, item in file.items() if isinstance(item, h5py.Group)}
    whole = [name for name, members in groups.items() if {"xml", "data"} <= members]
    if "dataset" in whole:
        return "dataset"
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise ScanError(f"{path.name} holds {len(whole)} measurements ({', '.join(whole[:5])}) and none is 'dataset'.")
    if any("xml" in members for members in groups.values()):
        raise ScanError(f"{path.name} holds an ISMRMRD header but no acquisitions.")
    if any("data" in members for members in groups.values()):
        raise ScanError(f"{path.name} holds data but no ISMRMRD header.")
    raise ScanError(f"{path.name} is an HDF5 file but not an ISMRMRD scan.")


def _header_text(dataset: h5py.Dataset, path: Path) -> str:
    text = np.ravel(dataset[()])[0]
    raw: bytes = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
    if len(raw) > MAX_HEADER_BYTES:
        raise ScanError(f"The ISMRMRD header of {path.name} is larger than {MAX_HEADER_BYTES // 2**20} MiB.")
    return header_text(raw)


def _headers(heads: NDArray[np.void]) -> NDArray[np.void]:
    """The headers in the packed layout of the wire. Fields are copied by name, because layouts of files differ."""
    packed = np.zeros(len(heads), HEADER)
    for name in HEADER.names or ():
        if name != "idx":
            packed[name] = heads[name]
    for name in HEADER["idx"].names or ():
        packed["idx"][name] = heads["idx"][name]
    return packed


def _acquisition(
    head: np.void, data: NDArray[np.float32], trajectory: NDArray[np.float32], where: str
) -> ismrmrd.Acquisition:
    samples, coils, dims = (int(head[f]) for f in ("number_of_samples", "active_channels", "trajectory_dimensions"))
    for what, values, expected in (("data", data, 2 * coils * samples), ("trajectory", trajectory, samples * dims)):
        if values.size != expected:
            raise ScanError(f"{where}: {what} of {values.size} numbers, but its header says {expected}.")
    return ismrmrd.Acquisition(
        head.tobytes(),
        data=np.ascontiguousarray(data, "<f4").view(np.complex64).reshape(coils, samples),
        trajectory=np.ascontiguousarray(trajectory, "<f4").reshape(samples, dims),
    )
