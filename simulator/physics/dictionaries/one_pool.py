"""Dictionaries of one pool: one atom for every combination of the parameters."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["OnePoolDictionary"]


@dataclass(frozen=True, eq=False)
class OnePoolDictionary:
    """Atoms of one sequence, at every spoke and per unit of proton density.

    Raises ValueError when the number of atoms is not the product of the axes' lengths (a programming error).
    """

    sequence: PulseSequence
    axes: dict[str, NDArray[np.float64]]
    """Name of a quantity -> its values; the first axis varies slowest over the atoms."""
    atoms: NDArray[Any]
    """(atoms, spokes) real or complex."""

    def __post_init__(self) -> None:
        expected = (int(np.prod([len(axis) for axis in self.axes.values()])), len(self.sequence))
        if self.atoms.shape != expected:
            raise ValueError(f"{self.atoms.shape} atoms and spokes instead of {expected}")

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name these atoms, for provenance."""
        state = hashlib.sha256()
        for array in (self.atoms, *self.axes.values()):
            state.update(np.ascontiguousarray(array, np.complex64 if np.iscomplexobj(array) else np.float32).tobytes())
        return state.hexdigest()[:12]

    def values(self, match: Match) -> dict[str, NDArray[Any]]:
        """Matched values by quantity."""
        return {name: axis[match.index[name]] for name, axis in self.axes.items()}
