"""Makes a T1/T2 dictionary in chunks; an interrupted call can be continued.

Atoms are appended to a plain file beside the result: 32 bytes that identify sequence, grid and software, then one row
of numbers for each atom. After a killed process, complete rows are used and the rest is cut off.
"""

import hashlib
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.dictionaries.singular_vectors import (
    check_compression,
    leading_vectors,
    normalised_gram,
)
from spokestream.simulator.physics.dictionaries.t1t2 import KIND, T1T2Dictionary, T1T2Grid, load_t1t2_dictionary
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.sequences.stored_sequence import write_sequence
from spokestream.whole_files import whole_hdf5, writing

__all__ = ["build_t1t2_dictionary"]

CHUNK = 2048
"""Atoms that are simulated together; a killed process loses at most this many."""

NEARLY_ALL = 1 - 1e-9
"""Fraction of the energy that is kept by the compressed atoms beside those of every spoke, from which a scan starts. On
the grid of Song et al. and 1,000 spokes these are 50 vectors, and the worst atom lacks 5e-4 of its norm, which is less
than the temporal images leave out of it, 2.5e-2."""

Progress = Callable[[int, int], None]
"""Called with the number of atoms that are done and the number of all atoms."""


def build_t1t2_dictionary(
    path: Path,
    sequence: PulseSequence,
    grid: T1T2Grid,
    compress: float | None = None,
    software: str = "",
    progress: Progress | None = None,
) -> T1T2Dictionary:
    """Simulate all atoms of a grid and write them as HDF5. If the file exists and holds this dictionary, it is read.

    Args:
        path: HDF5 file to write. Unfinished atoms are in a file of the same name with the suffix `.part`.
        sequence: a gradient-spoiled or balanced sequence.
        grid: T1 and T2 of the atoms.
        compress: None keeps the signal of every spoke, with a compressed copy for a fast start of scans. A fraction of
            the energy or a number of singular vectors (see `leading_vectors`) projects the atoms onto the vectors.
        software: version that is written into the file.
        progress: see `Progress`.

    Raises InputError for an ideally spoiled sequence and for a number that is neither fraction nor count; FileError
    when the folder does not exist, `path` or its unfinished part belongs to another sequence, grid or software, or the
    disk is full.

    """
    if sequence.spoiling == "ideal":
        raise InputError(
            f"T2 cannot be measured with '{sequence.name}': "
            "under ideal spoiling it only scales the signal, by exp(-TE/T2)."
        )
    if compress is not None:
        check_compression(compress, len(sequence))
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} to write the dictionary to.")
    identity = _identity(sequence, grid, software)
    if path.exists():
        return _finished(path, identity, compress)
    partial = path.with_name(path.name + ".part")
    dtype = _simulate(sequence, grid.t1_ms[:1], grid.t2_ms[:1]).dtype
    with writing(partial):
        _append_missing(partial, identity, sequence, grid, dtype, progress or (lambda done, total: None))
    rows = np.memmap(partial, dtype, "r", offset=len(identity), shape=(len(grid), len(sequence)))
    small = _compressed(sequence, grid, rows, NEARLY_ALL if compress is None else compress)
    dictionary = T1T2Dictionary(sequence, grid, np.array(rows)) if compress is None else small
    _write(path, dictionary, small, identity, compress, software)
    partial.unlink(missing_ok=True)
    return dictionary


def _simulate(sequence: PulseSequence, t1_ms: NDArray[Any], t2_ms: NDArray[Any]) -> NDArray[Any]:
    """Signals (atoms, spokes) in single precision, computed on the GPU if there is one."""
    import torch

    from spokestream.simulator.physics.fingerprint import fingerprint

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return np.asarray(fingerprint(sequence, t1_ms, t2_ms, dtype=torch.float32, device=device))


def _identity(sequence: PulseSequence, grid: T1T2Grid, software: str) -> bytes:
    """32 bytes that identify the sequence, the grid and the software of the atoms."""
    state = hashlib.sha256(f"{software}|{sequence.spoiling}|{sequence.inversion}|{sequence.repetitions}|".encode())
    times = np.array([sequence.ti_ms, sequence.recovery_ms])
    trains = (sequence.flip_angle_deg, sequence.rf_phase_deg, sequence.te_ms, sequence.tr_ms)
    for array in (times, *trains, grid.t1_ms, grid.t2_ms):
        state.update(np.ascontiguousarray(array, np.float64).tobytes())
    return state.digest()


def _append_missing(
    partial: Path, identity: bytes, sequence: PulseSequence, grid: T1T2Grid, dtype: DTypeLike, progress: Progress
) -> None:
    row_bytes = len(sequence) * np.dtype(dtype).itemsize
    with partial.open("a+b") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise FileError(f"Another process is making {partial}; wait for it, or write to another file.") from None
        file.seek(0)
        found = file.read(len(identity))
        if not identity.startswith(found):
            raise FileError(
                f"{partial} was begun for another sequence, grid or version; remove it, or write to another file."
            )
        file.write(identity[len(found) :])
        done = (file.seek(0, 2) - len(identity)) // row_bytes
        file.truncate(len(identity) + done * row_bytes)
        progress(done, len(grid))
        while done < len(grid):
            chunk = slice(done, done + CHUNK)
            file.write(_simulate(sequence, grid.t1_ms[chunk], grid.t2_ms[chunk]).tobytes())
            file.flush()
            done = min(done + CHUNK, len(grid))
            progress(done, len(grid))


def _compressed(sequence: PulseSequence, grid: T1T2Grid, rows: NDArray[Any], compress: float) -> T1T2Dictionary:
    basis, energy = leading_vectors(normalised_gram(_blocks(rows)), compress)
    atoms = np.concatenate([block @ basis.conj() for block in _blocks(rows)]).astype(rows.dtype)
    return T1T2Dictionary(sequence, grid, atoms, basis.astype(rows.dtype), energy)


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK))


def _write(
    path: Path,
    dictionary: T1T2Dictionary,
    small: T1T2Dictionary,
    identity: bytes,
    compress: float | None,
    software: str,
) -> None:
    written = {"/": dictionary} if small is dictionary else {"/": dictionary, "/compressed/": small}
    with whole_hdf5(path) as file:
        file.attrs.update(kind=KIND, software=software, digest=dictionary.digest)
        file.attrs.update(identity=identity.hex(), compress=float(compress or 0))
        write_sequence(file, dictionary.sequence)
        file["grid/t1_ms"], file["grid/t2_ms"] = dictionary.grid.t1_ms, dictionary.grid.t2_ms
        file["grid"].attrs["name"] = dictionary.grid.name
        for folder, stored in written.items():
            file[f"{folder}atoms"] = stored.atoms
            file[f"{folder}atoms"].attrs["energy"] = stored.energy
            if stored.basis is not None:
                file[f"{folder}basis"] = stored.basis


def _finished(path: Path, identity: bytes, compress: float | None) -> T1T2Dictionary:
    dictionary = load_t1t2_dictionary(path)
    with h5py.File(path, "r") as file:
        same = (file.attrs.get("identity"), file.attrs.get("compress")) == (identity.hex(), float(compress or 0))
    if not same:
        raise FileError(f"{path} holds another dictionary; remove it, or write to another file.")
    return dictionary
