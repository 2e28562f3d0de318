"""A tissue model: what a fingerprint depends on, and everything that follows from it.

Matching, networks, the physics check, training, evaluation and figures ask the model for its parameters and name no
map themselves. `docs/tissue_models.md` says how to add one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from spokestream.errors import ScanError
from spokestream.simulator.physics.dictionaries.match import Dictionary
from spokestream.simulator.physics.quantities import QUANTITIES, Quantity, Where
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.scale import Scale

__all__ = ["FREE", "ClosedForm", "Parameter", "Region", "TissueModel"]

FREE = 2
"""Real numbers of a fingerprint that say nothing of the parameters: proton density and phase."""


@dataclass(frozen=True)
class Parameter:
    """A quantity on which the fingerprint depends."""

    name: str
    """Name of the quantity."""
    low: float
    """Physical value that networks give as 0."""
    high: float
    """Physical value that networks give as 1."""
    pool: str = ""
    """The pool whose property it is; empty for properties of the voxel."""
    usual: float | None = None
    """Value to calculate with in a voxel that holds nothing of the pool, whose map is 0 there."""
    compared: Where | None = None
    """Where published scores compare the parameter with a reference; None is everywhere in tissue."""
    logarithmic: bool = False
    """Whether networks give the logarithm of the parameter."""
    by_logarithm: bool = False
    """Whether closed forms give the derivative by the logarithm of the parameter."""

    @property
    def scale(self) -> Scale:
        """The scale on which networks give the parameter."""
        return Scale(self.low, self.high, self.logarithmic)

    @property
    def quantity(self) -> Quantity:
        """The declaration of the quantity."""
        return QUANTITIES[self.name]


@dataclass(frozen=True)
class Region:
    """Voxels over which errors are summarised."""

    name: str
    where: Where
    soft_tissue: bool = False
    """Whether bone and voxels that hold little signal are left out."""


class ClosedForm(Protocol):
    """Fingerprints of any tissue in one scan, through a temporal basis."""

    @property
    def model(self) -> "TissueModel":
        """The tissue model."""

    @property
    def sequence(self) -> PulseSequence:
        """The scan's pulse sequence."""

    @property
    def basis(self) -> TemporalBasis:
        """The temporal basis of the coefficients."""

    def through(self, basis: TemporalBasis) -> "ClosedForm":
        """The same fingerprints through another basis, for instance of a slice that lacks frames."""

    def at(self, *parameters: Tensor, efficiency: float = 1.0, by_efficiency: bool = False) -> tuple[Tensor, Tensor]:
        """Coefficients of some voxels over their noise, per unit of proton density, and their derivatives.

        Args:
            parameters: (voxels,) each, in the order of the model's parameters.
            efficiency: inversion efficiency; 1 turns M into -M, 0 leaves nothing.
            by_efficiency: whether to give the derivative by the inversion efficiency as well.

        Returns:
            (voxels, K) complex; (voxels, derivatives, K) the derivative by each parameter, or by its logarithm
            (`Parameter.by_logarithm`), and last by the inversion efficiency if it is asked for.

        """


class TissueModel(ABC):
    """What a fingerprint depends on: parameters, pools and how they mix, dictionary and closed form."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    """The parameters, in the order in which maps are given, trained and reported."""
    regions: tuple[Region, ...]
    """The regions over which errors against a truth are summarised."""
    fraction: str = ""
    """The quantity that says how pools mix; empty for one pool."""
    least_fraction: float = 0.0
    """Fraction of a voxel below which a pool has no property of its own."""
    strata: tuple[tuple[float, float], ...] = ()
    """Ranges of `fraction` by which an evaluation separates errors."""
    nominal_flip_angles: bool = False
    """Whether flip angles are taken as nominal, so that signals contradict true maps where B1 is not 1."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @abstractmethod
    def refusal(self, sequence: PulseSequence) -> str | None:
        """Why a sequence does not encode these parameters, in one sentence; None if it does."""

    @abstractmethod
    def dictionary(self, sequence: PulseSequence, field_t: float | None = None) -> Dictionary:
        """The dictionary of a sequence on the model's grid.

        Args:
            sequence: the pulse sequence.
            field_t: main field in tesla; None is the field for which the model's constants are tabulated.

        Raises InputError for a sequence that it cannot be calculated for.

        """

    @abstractmethod
    def load_dictionary(self, path: Path) -> Dictionary:
        """A dictionary from a file. Raises FileError for anything else."""

    @abstractmethod
    def closed_form(self, sequence: PulseSequence, basis: TemporalBasis, field_t: float | None = None) -> ClosedForm:
        """Fingerprints of any tissue through a basis.

        Raises ScanError for a sequence without closed form and for a basis of too few images.
        """

    def pool_fractions(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Pool -> how much of a voxel it is, 0..1, from the maps of the parameters; here of the whole voxel alone."""
        return {"": values[self.parameters[0].name] * 0 + 1}

    def truth(self, voxels: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a phantom's voxels, by name; 0 where they have no meaning.

        Args:
            voxels: the maps of a phantom, which describe water and fat; see `spokestream.simulator.phantoms`.

        """
        return {name: voxels[name] for name in self.names if name in voxels}

    def presence(self, pool: str) -> Where | None:
        """Where a voxel holds enough of a pool to speak of its properties; None is everywhere."""
        return None

    def check(self, sequence: PulseSequence) -> None:
        """Raise ScanError, with the reason, for a sequence that does not encode the parameters."""
        if reason := self.refusal(sequence):
            raise ScanError(reason)
        fewest = len(self.parameters) + FREE + 1
        if sequence.n_frames < fewest:
            raise ScanError(
                f"The sequence has {sequence.n_frames} frames; {len(self.parameters)} maps need {fewest} at least."
            )

    def check_images(self, n_images: int) -> None:
        """Raise ScanError if a basis of so many images has no more numbers than the parameters and what is `FREE`."""
        if 2 * n_images <= len(self.parameters) + FREE:
            raise ScanError(
                f"{n_images} temporal images leave nothing to check the maps with; choose a basis of more images, or a "
                "shorter window."
            )
