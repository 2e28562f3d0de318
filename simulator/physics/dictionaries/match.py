"""What a dictionary is to those who search it, and what a search finds."""

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["Dictionary", "Match"]


@dataclass(frozen=True)
class Match:
    """The best match of some voxels in a dictionary. All arrays are (voxels,)."""

    index: dict[str, NDArray[Any]]
    """Axis of the dictionary -> place on that axis."""
    fraction: NDArray[Any] | None
    """Fraction of the second pool, 0..1; None where there is one pool."""
    rho: NDArray[Any]
    """Proton density times exp(i phase)."""
    correlation: NDArray[Any]
    """Fraction of the fingerprint's norm that the model explains, 0..1."""
    limited: int = 0
    """Number of voxels in which only the most likely part of the dictionary was searched."""


class Dictionary(Protocol):
    """The signals of a grid of tissues for one sequence. Its form decides how it is searched (`gadgets/matching/`)."""

    @property
    def sequence(self) -> PulseSequence:
        """The sequence that the signals belong to."""

    @property
    def axes(self) -> dict[str, NDArray[Any]]:
        """Name of a quantity -> its values on the grid."""

    @property
    def atoms(self) -> NDArray[Any]:
        """(atoms, spokes) the signals of all pools, in one list."""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name these atoms, for provenance."""

    def values(self, match: Match) -> dict[str, NDArray[Any]]:
        """Name of a quantity -> (voxels,) its matched values; 0 where the pool that it belongs to is absent."""
