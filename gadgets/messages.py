"""The messages between gadgets: frozen, with shapes and units. ISMRMRD types appear only at both ends of the chain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.temporal_basis import TemporalBasis

if TYPE_CHECKING:
    from spokestream.gadgets.imaging.sample_operator import SampleOperator

__all__ = [
    "NOWHERE", "Fingerprints", "Geometry", "LeftOut", "ParameterMaps", "SliceEnd", "SliceStart", "Spoke", "SpokeBlock",
]  # fmt: skip

Complex = NDArray[np.complex64]
Float = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Geometry:
    """Position and orientation of a slice in the patient, from the headers of its acquisitions (LPS, mm)."""

    position_mm: tuple[float, float, float]
    read_dir: tuple[float, float, float]
    phase_dir: tuple[float, float, float]
    slice_dir: tuple[float, float, float]
    table_position_mm: tuple[float, float, float]
    fov_mm: tuple[float, float, float]
    measurement_uid: int = 0
    acquisition_time_stamp: int = 0
    """Time of the first spoke of the slice, in ticks of the scanner's clock."""
    physiology_time_stamp: tuple[int, int, int] = (0, 0, 0)


NOWHERE = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 1))
"""The geometry of simulated slices, which have no position in a scanner."""


@dataclass(frozen=True)
class LeftOut:
    """A readout that was taken out of the stream, so that its number is not missed."""

    scan_counter: int


@dataclass(frozen=True)
class Spoke:
    """One readout: a radial spoke, a spiral arm, an echo-planar image, or one of another shape."""

    data: Complex
    """(coils, samples)"""
    k: Float
    """(samples, 2): kx, ky in cycles per field of view."""
    index: int
    """Index of the spoke in the sequence's train, which starts again with every slice."""
    slice: int
    geometry: Geometry
    density: Float | None = None
    """(samples,) area of k-space in (cycles per field of view)² that each sample represents if the readout is the only
    one of its frame; None for straight spokes, whose density is computed from their positions."""
    time_us: Float | None = None
    """(samples,) time from the echo to each sample; None if it is not known."""


@dataclass(frozen=True)
class SpokeBlock:
    """The spokes of one temporal frame of one slice."""

    data: Complex
    """(coils, spokes, samples)"""
    k: Float
    """(spokes, samples, 2) in cycles per field of view."""
    indices: NDArray[np.intp]
    """(spokes,) indices in the train, ascending."""
    frame: int
    slice: int
    missing: int = 0
    """Number of spokes of this frame that never came."""
    density: Float | None = None
    """(spokes, samples) area of k-space that each sample represents in this frame; None for straight spokes."""
    geometry: Geometry = NOWHERE
    """That of its slice."""
    radii: Float | None = None
    """(spokes, samples) in cycles per field of view, to which the area that a sample of a straight spoke represents is
    proportional, if it is not the distance from k = 0; see `spokestream.gadgets.spokes.moved_spokes.moved`."""
    time_us: Float | None = None
    """(spokes, samples) time from the echo to each sample; None if it is not known."""


@dataclass(frozen=True)
class SliceStart:
    """A sign that the first spoke of a slice has come. It waits for others; what they will need can be made ready."""

    slice: int
    n_coils: int
    """That of the frames to come."""


@dataclass(frozen=True)
class SliceEnd:
    """A sign that the last spoke of a slice has come, so that everything that waits for the slice can be computed."""

    slice: int
    geometry: Geometry


@dataclass(frozen=True)
class Fingerprints:
    """Coil-combined temporal coefficients of one slice."""

    data: Complex
    """(K, y, x): image k is the sum over frames of basis.weights[f, k] times the image of frame f."""
    basis: TemporalBasis
    foreground: Mask
    """(y, x) pixels that hold tissue."""
    slice: int
    geometry: Geometry
    has_corners: bool = False
    """Whether the corners of k-space were sampled, as by echo-planar images; spokes end on a circle."""
    straight: bool = True
    """Whether all readouts were straight spokes, on whose aliasing networks are trained."""
    adjoint: "Fingerprints | None" = None
    """The same slice by images of the adjoint, if `data` are others. Wrong data show in the background and the aliasing
    of the adjoint; an inversion suppresses both."""
    operator: "SampleOperator | None" = None
    """What the samples of the slice would show of the signal of maps, if it is to be compared with them."""
    seen: float | None = None
    """The part of the variance of consistent images that shows in what no map explains, because the rest of them is the
    signal of maps; None for images of the adjoint."""


@dataclass(frozen=True)
class ParameterMaps:
    """Quantitative maps of one slice."""

    maps: dict[str, Float]
    """Maps (y, x) by the name of their quantity, in its unit; 0 outside the foreground."""
    slice: int
    geometry: Geometry
    foreground: Mask
    """(y, x) pixels that hold tissue."""
    fingerprints: Fingerprints | None = None
    """The fingerprints from which the maps were computed, so that the maps can be compared with them."""
    inversion_efficiency: float | None = None
    """Efficiency of the 180 degree pulse, as estimated from the slice; None if it is assumed to be perfect."""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest value that the method can give, for the properties of the voxel such as B1."""
    quality: str = ""
    """"good", or why the maps cannot be trusted; empty if they were not checked."""
