"""The messages of the stream: frozen, with shapes and units. ISMRMRD types appear only at the two ends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = [
    "NOWHERE", "Fingerprints", "Geometry", "ParameterMaps", "SliceEnd", "Spoke", "SpokeBlock",
]  # fmt: skip

Complex = NDArray[np.complex64]
Float = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Geometry:
    """Where a slice lies in the patient, as its acquisitions say (LPS, mm)."""

    position_mm: tuple[float, float, float]
    read_dir: tuple[float, float, float]
    phase_dir: tuple[float, float, float]
    slice_dir: tuple[float, float, float]
    table_position_mm: tuple[float, float, float]
    fov_mm: tuple[float, float, float]
    measurement_uid: int = 0
    acquisition_time_stamp: int = 0
    """Time of the slice's first spoke, in the scanner's ticks."""
    physiology_time_stamp: tuple[int, int, int] = (0, 0, 0)


NOWHERE = Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 1))
"""The geometry of simulated slices that lie in no scanner."""


@dataclass(frozen=True)
class Spoke:
    """One readout through the centre of k-space."""

    data: Complex
    """(coils, samples)"""
    k: Float
    """(samples, 2): kx, ky in cycles per field of view."""
    index: int
    """Place in the sequence's train of spokes, restarting with every slice."""
    slice: int
    geometry: Geometry


@dataclass(frozen=True)
class SpokeBlock:
    """Spokes of one temporal frame of one slice."""

    data: Complex
    """(coils, spokes, samples)"""
    k: Float
    """(spokes, samples, 2) in cycles per field of view."""
    indices: NDArray[np.intp]
    """(spokes,) places in the train, ascending."""
    frame: int
    slice: int
    missing: int = 0
    """Spokes of this frame that never came."""


@dataclass(frozen=True)
class SliceEnd:
    """The last spoke of a slice has passed; everything that waits for the slice can be finished."""

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


@dataclass(frozen=True)
class ParameterMaps:
    """Quantitative maps of one slice."""

    maps: dict[str, Float]
    """Name of a quantity -> (y, x) in its unit; 0 outside the foreground."""
    slice: int
    geometry: Geometry
    foreground: Mask
    """(y, x) pixels that hold tissue."""
    fingerprints: Fingerprints | None = None
    """What the maps were made from, for whoever checks them against it."""
    inversion_efficiency: float | None = None
    """Efficiency of the 180 degree pulse, as estimated from the slice; None where it is taken to be perfect."""
