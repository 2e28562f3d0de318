"""Dictionaries over T1 and T2, for sequences whose signal depends on both: the atoms, their grid and their file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.sequences.stored_sequence import read_sequence

__all__ = ["GRIDS", "T1T2Dictionary", "T1T2Grid", "load_t1t2_dictionary", "t1t2_grid"]

Axis = NDArray[np.float64]

KIND = "spokestream T1/T2 dictionary"


@dataclass(frozen=True, eq=False)
class T1T2Grid:
    """The pairs of T1 and T2 of the atoms, in order of T2."""

    name: str
    t1_ms: Axis
    """(atoms,)"""
    t2_ms: Axis
    """(atoms,)"""

    def __len__(self) -> int:
        return len(self.t1_ms)


def t1t2_grid(name: str, t1_ms: Axis, t2_ms: Axis, equal: bool = False) -> T1T2Grid:
    """All pairs of two axes with T1 > T2, and with T1 = T2 if `equal`. T2 of tissue is never longer than T1."""
    t2, t1 = (x.ravel() for x in np.meshgrid(t2_ms, t1_ms, indexing="ij"))
    possible = (t1 >= t2) if equal else (t1 > t2)
    return T1T2Grid(name, t1[possible], t2[possible])


def _steps(*runs: tuple[float, float, float]) -> Axis:
    return np.concatenate([np.arange(first, last + step / 2, step) for first, last, step in runs])


def _fang() -> T1T2Grid:
    """13,123 atoms, as published (Fang et al. 2019); ranges and steps are ours, chosen to reach that count."""
    t1 = _steps((60, 2000, 10), (2020, 3000, 20), (4000, 5000, 1000))
    t2 = _steps((10, 100, 2), (120, 200, 20), (300, 500, 100))
    return t1t2_grid("fang", t1, t2)


def _drone() -> T1T2Grid:
    """79,900 atoms (Cohen et al. 2018): T1 1:10:5000, T2 1:10:2000, T1 > T2."""
    return t1t2_grid("drone", np.arange(1.0, 5000, 10), np.arange(1.0, 2000, 10))


def _song() -> T1T2Grid:
    """80,100 atoms (Song et al. 2019): T1 1:10:5000, T2 1:10:2000, T1 >= T2."""
    return t1t2_grid("song", np.arange(1.0, 5000, 10), np.arange(1.0, 2000, 10), equal=True)


GRIDS = {"fang": _fang, "drone": _drone, "song": _song}
"""Name -> function that makes the published grid."""


@dataclass(frozen=True, eq=False)
class T1T2Dictionary:
    """Atoms of one sequence per unit of proton density, either at every spoke or as coefficients of a basis."""

    sequence: PulseSequence
    grid: T1T2Grid
    atoms: NDArray[Any]
    """(atoms, K) float32, or complex64 where the RF phase makes them so; K = spokes without a basis."""
    basis: NDArray[Any] | None = None
    """(spokes, K), orthonormal columns: a signal is the sum over k of atoms[k] basis[:, k]."""
    energy: float = 1.0
    """Fraction of the atoms' energy that the basis keeps; all atoms have the same weight."""

    def signals(self, which: Any = slice(None)) -> NDArray[Any]:
        """The signals (..., spokes) of the atoms with this index."""
        chosen = self.atoms[which]
        return chosen if self.basis is None else np.asarray(chosen @ self.basis.T)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify these atoms, for provenance."""
        state = hashlib.sha256()
        for array in (self.grid.t1_ms, self.grid.t2_ms, self.atoms, *(() if self.basis is None else (self.basis,))):
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()[:12]


def load_t1t2_dictionary(path: Path, compressed: bool = False) -> T1T2Dictionary:
    """Read what `build_t1t2_dictionary` wrote.

    Args:
        path: HDF5 file.
        compressed: whether to read the atoms as coefficients of a basis, which takes a tenth of the time, also if the
            file holds them at every spoke. Files of earlier versions hold one of the two only.

    Raises FileError, in one sentence, for anything else.

    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("kind") != KIND:
                raise FileError(
                    f"{path} is no T1/T2 dictionary file of spokestream (it is of another kind); make one with "
                    "`spokestream dictionary --grid song`."
                )
            atoms = file["compressed"] if compressed and "compressed" in file else file
            dictionary = T1T2Dictionary(
                read_sequence(file),
                T1T2Grid(str(file["grid"].attrs["name"]), file["grid/t1_ms"][()], file["grid/t2_ms"][()]),
                atoms=atoms["atoms"][()],
                basis=atoms["basis"][()] if "basis" in atoms else None,
                energy=float(atoms["atoms"].attrs["energy"]),
            )
    except (OSError, KeyError, TypeError, ValueError, InputError) as error:
        raise FileError(f"{path} is no T1/T2 dictionary file of spokestream ({error}).") from None
    spokes, basis = len(dictionary.sequence), dictionary.basis
    columns = spokes if basis is None else basis.shape[-1]
    if dictionary.atoms.shape != (len(dictionary.grid), columns) or (basis is not None and len(basis) != spokes):
        raise FileError(f"{path} holds atoms of another shape than its own grid and sequence.")
    return dictionary
