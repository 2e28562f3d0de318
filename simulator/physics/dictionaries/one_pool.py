"""Dictionaries of one pool: atoms at any values of the parameters."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.t1t2 import T1T2Dictionary
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["ATOM", "OnePoolDictionary"]

ATOM = "atom"
"""Axis of a match that is the number of the atom, because atoms need not form a grid."""
BLOCK = 4096
"""Number of atoms that are projected at once; it limits the memory."""


@dataclass(frozen=True, eq=False)
class OnePoolDictionary:
    """Atoms of one sequence per unit of proton density, at every spoke or as coefficients of few vectors.

    Raises ValueError when atoms and parameters, or vectors and spokes, differ in number (a programming error).
    """

    sequence: PulseSequence
    parameters: dict[str, NDArray[np.float64]]
    """Name of a quantity -> (atoms,) its value in every atom."""
    coefficients: NDArray[Any]
    """(atoms, R) real or complex; the signals themselves if there are no vectors, with R = spokes."""
    vectors: NDArray[Any] | None = None
    """(spokes, R): a signal is the sum over r of coefficients[r] vectors[:, r]."""
    source: NDArray[Any] | None = None
    """What the atoms were computed from, if the last bits of that computation depend on the number of threads."""

    def __post_init__(self) -> None:
        n = len(self.sequence)
        columns = n if self.vectors is None else self.vectors.shape[1]
        for name, values in self.parameters.items():
            if self.coefficients.shape != (*values.shape, columns):
                raise ValueError(f"{self.coefficients.shape} atoms and spokes for {values.shape} values of {name}")
        if self.vectors is not None and len(self.vectors) != n:
            raise ValueError(f"vectors of {len(self.vectors)} spokes for a sequence of {n}")

    @classmethod
    def of(cls, stored: T1T2Dictionary) -> "OnePoolDictionary":
        """The atoms over T1 and T2 of a file, as matching takes them."""
        parameters = {"t1": stored.grid.t1_ms, "t2": stored.grid.t2_ms}
        return cls(stored.sequence, parameters, stored.atoms, stored.basis)

    @property
    def atoms(self) -> NDArray[Any]:
        """(atoms, spokes) the signals, real or complex."""
        return self.signals()

    def signals(self, which: Any = slice(None)) -> NDArray[Any]:
        """The signals (..., spokes) of the atoms with this index."""
        chosen = self.coefficients[which]
        return chosen if self.vectors is None else np.asarray(chosen @ self.vectors.T)

    def in_basis(self, basis: TemporalBasis) -> NDArray[Any]:
        """The atoms (atoms, K) in a temporal basis, in double precision."""
        if self.vectors is not None:
            return np.asarray(self.coefficients @ basis.project(self.vectors.T))
        firsts = range(0, len(self.coefficients), BLOCK)
        return np.concatenate([basis.project(self.coefficients[first : first + BLOCK]) for first in firsts])

    @property
    def axes(self) -> dict[str, NDArray[np.float64]]:
        """Name of a quantity -> the different values that atoms have."""
        return {name: np.unique(values) for name, values in self.parameters.items()}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name these atoms, or their source and parameters, for provenance."""
        state = hashlib.sha256()
        atoms = self.coefficients if self.source is None else self.source
        for array in (atoms, *(() if self.vectors is None else (self.vectors,)), *self.parameters.values()):
            state.update(np.ascontiguousarray(array, np.complex64 if np.iscomplexobj(array) else np.float32).tobytes())
        return state.hexdigest()[:12]

    def values(self, match: Match) -> dict[str, NDArray[Any]]:
        """Matched values by quantity."""
        return {name: values[match.index[ATOM]] for name, values in self.parameters.items()}
