"""The contract of a network: its input, its outputs, and the sequence that it was trained for."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spokestream.errors import FileError
from spokestream.gadgets.imaging.image_kinds import ADJOINT, IMAGES, ITERATIVE
from spokestream.gadgets.model_fit.inversion import LIMITS
from spokestream.gadgets.scan.header import STRONGEST_FIELD_T, WEAKEST_FIELD_T
from spokestream.simulator.physics.fat_spectrum import REFERENCE_FIELD_T
from spokestream.simulator.physics.quantities import QUANTITIES, Where
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.tissue_models.registry import TISSUE_MODELS
from spokestream.simulator.physics.tissue_models.scale import Scale
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

__all__ = ["Contract", "Output"]

MOST_CHANNELS = 8192
WIDEST_BORDER = 256
LARGEST_TILE = 1024
"""Upper limits for values in a file, because the memory grows with all of them."""
LARGEST_DEMODULATION_HZ = 600.0
LARGEST_PIXEL_MM = 100.0


@dataclass(frozen=True)
class Output:
    """One map. The output of the network, 0..1, is its place on the scale from `low` to `high`."""

    map: str
    """Name of a quantity."""
    low: float
    high: float
    std: bool = False
    """Whether the network also gives the standard deviation of the map, on the same scale."""
    where: Where | None = None
    """Rule for the voxels in which the map is valid; in others it is 0. None means that it is valid everywhere."""
    logarithmic: bool = False
    """Whether the scale is logarithmic: the physical value is low (high / low) ** output. On a linear scale it is
    low + (high - low) * output."""

    @property
    def scale(self) -> Scale:
        """The scale from outputs of the network to physical values."""
        return Scale(self.low, self.high, self.logarithmic)

    @property
    def unit(self) -> str:
        """The map's unit; "1" is dimensionless."""
        return QUANTITIES[self.map].unit


@dataclass(frozen=True, eq=False)
class Contract:
    """The input of a network, its outputs, and the scan that it was trained for.

    Raises FileError, in one sentence, for a contract that contradicts itself.
    """

    name: str
    """Name of the network, of letters, digits and `+-_.`, because files of reports are named after it."""
    sequence: PulseSequence
    basis: TemporalBasis
    """The temporal basis of the coefficients that are the input of the network."""
    channels: int
    """Number of channels of the input after normalisation."""
    border: int
    """Number of pixels that the network crops on every side."""
    step: int
    """Corners and sides of tiles are multiples of this number of pixels."""
    tile: int
    """Largest side of a tile, in pixels of the output."""
    outputs: tuple[Output, ...]
    efficiency: tuple[float, float] | None = None
    """Range of inversion efficiencies that the network was trained for. The efficiency is estimated from the slice and
    passed to `normalise`. None means that the network is not conditioned on it."""
    pixel_mm: tuple[float, float] | None = None
    """Smallest and largest pixel of the training, in mm: aliasing and partial volumes depend on it. None is unknown."""
    images: str = ADJOINT
    """The images of the basis that the network was trained on, one of `IMAGES`: those of the adjoint, or those of
    low-rank inversion."""
    demodulation_hz: float = 200.0
    """Receiver frequency during the readout at `field_t`, counted downwards from water."""
    field_t: float = REFERENCE_FIELD_T
    """Main field in tesla, on which the fat spectrum depends."""
    tissue_model: str = WATER_FAT.name
    """Name of the tissue model, whose parameters are the outputs."""
    description: str = ""
    normalisation: str = ""
    """Description for people; the archive's method `normalise` defines it."""
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+_.-]{0,63}", self.name):
            raise FileError(f"a network's name is of letters, digits and +-_., not '{self.name[:64]}'")
        if self.tissue_model not in TISSUE_MODELS:
            raise FileError(f"there is no tissue model '{self.tissue_model:.40}'; known are {', '.join(TISSUE_MODELS)}")
        _check_geometry(self)
        _check_basis(self.basis, self.sequence)
        names = [output.map for output in self.outputs]
        if not names or len(set(names)) < len(names):
            raise FileError("the outputs must be different maps, one at least")
        for output in self.outputs:
            _check_output(output, names)
        _check_efficiency(self)

    @property
    def model(self) -> TissueModel:
        """The tissue model, whose parameters are the outputs."""
        return TISSUE_MODELS[self.tissue_model]

    @property
    def gives_all(self) -> bool:
        """Whether the maps include every parameter of the tissue model, so that they determine the fingerprint."""
        return {*self.model.names} <= {output.map for output in self.outputs}

    @property
    def of_atoms(self) -> bool:
        """Whether the network was trained on the atoms of a dictionary, as signals of images without aliasing."""
        data = self.training.get("data")
        return isinstance(data, dict) and "atoms" in data

    @property
    def planes(self) -> int:
        """Number of channels of the output: all maps, then the standard deviations of those maps that have one."""
        return len(self.outputs) + sum(output.std for output in self.outputs)


def _check_geometry(contract: Contract) -> None:
    limits = {
        "channels": (1, MOST_CHANNELS),
        "border": (0, WIDEST_BORDER),
        "step": (1, LARGEST_TILE),
        "tile": (1, LARGEST_TILE),
    }
    for name, (low, high) in limits.items():
        if not low <= getattr(contract, name) <= high:
            raise FileError(f"the network's {name} lies between {low} and {high}, not at {getattr(contract, name)}")
    if not WEAKEST_FIELD_T < contract.field_t < STRONGEST_FIELD_T:
        raise FileError(f"the network's field strength is {contract.field_t:g} T")
    if not abs(contract.demodulation_hz) <= LARGEST_DEMODULATION_HZ:
        raise FileError(f"the network's demodulation lies within {LARGEST_DEMODULATION_HZ:g} Hz of water")
    if contract.pixel_mm is not None and not 0 < contract.pixel_mm[0] <= contract.pixel_mm[1] <= LARGEST_PIXEL_MM:
        raise FileError(f"the network's pixels must ascend between 0 and {LARGEST_PIXEL_MM:g} mm")
    if contract.images not in IMAGES:
        raise FileError(f"the network's images are {' or '.join(IMAGES)}, not '{contract.images:.40}'")
    if contract.images == ITERATIVE and contract.basis.is_windows:
        raise FileError("iterative images have a compressed basis, not frames or windows")
    if contract.border % contract.step or contract.tile % contract.step:
        raise FileError("the network's border and tile must be multiples of its step")


def _check_basis(basis: TemporalBasis, sequence: PulseSequence) -> None:
    frames, images = basis.weights.shape
    if basis.te_ms.shape != (images,) or basis.noise.shape != (images,) or np.any(basis.noise <= 0):
        raise FileError("the basis must have one echo time and one positive noise for every image")
    if frames != sequence.n_frames or basis.spokes_per_frame != sequence.spokes_per_frame:
        raise FileError(
            f"the basis has {frames} frames of {basis.spokes_per_frame} spokes, "
            f"the sequence {sequence.n_frames} of {sequence.spokes_per_frame}"
        )
    te_ms = sequence.te_ms[:: sequence.spokes_per_frame]
    if not np.isclose(te_ms[:, None], basis.te_ms, atol=1e-6)[basis.weights != 0].all():
        raise FileError("an image of the basis holds frames of another echo time than its own")


def _check_output(output: Output, names: list[str]) -> None:
    for name in (output.map, f"{output.map}_std") if output.std else (output.map,):
        if name not in QUANTITIES:
            raise FileError(f"there is no map '{name:.40}'; known are {', '.join(QUANTITIES)}")
    if not (math.isfinite(output.low) and math.isfinite(output.high) and output.low < output.high):
        raise FileError(f"the range of '{output.map}' must ascend")
    if output.logarithmic and output.low <= 0:
        raise FileError(f"the logarithmic range of '{output.map}' must be positive")
    if output.where and output.where.quantity not in names:
        raise FileError(f"'{output.map}' depends on '{output.where.quantity:.40}', which the network does not give")


def _check_efficiency(contract: Contract) -> None:
    if contract.efficiency is None:
        return
    low, high = contract.efficiency
    if not LIMITS[0] <= low <= high <= LIMITS[1]:
        raise FileError(
            f"an inversion's efficiency is found within {LIMITS[0]:g} and {LIMITS[1]:g}, ascending, "
            f"not from {low:g} to {high:g}"
        )
    if not contract.gives_all:
        raise FileError(
            f"a network that is conditioned on the inversion efficiency must give {', '.join(contract.model.names)}"
        )
