"""Dictionaries of one pool: atoms at any values of the parameters."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["ATOM", "OnePoolDictionary"]

ATOM = "atom"
"""Axis of a match that is the number of the atom, because atoms need not form a grid."""


@dataclass(frozen=True, eq=False)
class OnePoolDictionary:
    """Atoms of one sequence, at every spoke and per unit of proton density.

    Raises ValueError when atoms and parameters differ in number (a programming error).
    """

    sequence: PulseSequence
    parameters: dict[str, NDArray[np.float64]]
    """Name of a quantity -> (atoms,) its value in every atom."""
    atoms: NDArray[Any]
    """(atoms, spokes) real or complex."""

    def __post_init__(self) -> None:
        for name, values in self.parameters.items():
            if self.atoms.shape != (*values.shape, len(self.sequence)):
                raise ValueError(f"{self.atoms.shape} atoms and spokes for {values.shape} values of {name}")

    @property
    def axes(self) -> dict[str, NDArray[np.float64]]:
        """Name of a quantity -> the different values that atoms have."""
        return {name: np.unique(values) for name, values in self.parameters.items()}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name these atoms, for provenance."""
        state = hashlib.sha256()
        for array in (self.atoms, *self.parameters.values()):
            state.update(np.ascontiguousarray(array, np.complex64 if np.iscomplexobj(array) else np.float32).tobytes())
        return state.hexdigest()[:12]

    def values(self, match: Match) -> dict[str, NDArray[Any]]:
        """Matched values by quantity."""
        return {name: values[match.index[ATOM]] for name, values in self.parameters.items()}
