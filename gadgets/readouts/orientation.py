"""Position and orientation of a slice, from the header of its first readout; what was never filled in is completed."""

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.messages import Geometry
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["SliceOrientation"]

Vector = NDArray[np.float64]

NOT_UNIT = 1e-2
"""Deviation of directions from orthogonal unit vectors above which they are corrected; headers round to 1e-3."""
PARALLEL = 0.1
"""Smallest volume of three directions that span space; of orthogonal unit vectors it is 1."""
SAME_PLACE_MM = 1e-3


class SliceOrientation:
    """Gives the geometry of every slice of a scan; warns once of what was corrected.

    Args:
        scan: the scan.

    """

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan
        self._warned: set[str] = set()
        self._positions: list[Vector] = []

    def of(self, readout: ismrmrd.Acquisition) -> Geometry:
        """The geometry of the slice of this readout. Directions that are missing are those of the patient's axes."""
        number, fov_mm = int(readout.idx.slice), self._scan.header.recon_fov_mm
        directions = np.array([readout.read_dir, readout.phase_dir, readout.slice_dir], float)
        position = np.array(readout.position, float)
        missing = not directions.any()
        axes = self._axes(directions)
        if not np.isfinite(position).all():
            self._warn("The position of a slice is not finite and was taken as the isocentre.")
            position = np.zeros(3)
        if missing and not position.any() and self._scan.header.n_slices > 1:
            position = axes[2] * (number - (self._scan.header.n_slices - 1) / 2) * fov_mm[2]
            self._warn("Slices have no position; they are placed one slice thickness apart.")
        if any(np.abs(position - other).max() < SAME_PLACE_MM for other in self._positions):
            self._warn("Several slices have the same position, so that their images lie at one place.")
        self._positions.append(position)
        ticks = [int(t) for t in readout.physiology_time_stamp]
        return Geometry(
            _triple(position), _triple(axes[0]), _triple(axes[1]), _triple(axes[2]),
            _triple(np.nan_to_num(np.array(readout.patient_table_position, float), posinf=0.0, neginf=0.0)),
            fov_mm, int(readout.measurement_uid), int(readout.acquisition_time_stamp), (ticks[0], ticks[1], ticks[2]),
        )  # fmt: skip

    def _axes(self, directions: Vector) -> Vector:
        """The directions as orthogonal unit vectors; as they are, if they already are that."""
        if not directions.any():
            self._warn(
                "Position and directions of the slices were never filled in; their axes are taken as the patient's."
            )
            return np.eye(3)
        with np.errstate(all="ignore"):
            if np.abs(directions @ directions.T - np.eye(3)).max() < NOT_UNIT:
                return directions
            axes = directions / np.linalg.norm(directions, axis=1, keepdims=True)
            if not directions[2].any():
                axes[2] = np.cross(axes[0], axes[1])
        if not np.isfinite(axes).all() or abs(np.linalg.det(axes)) < PARALLEL:
            self._warn("The directions of the slices do not span space; their axes are taken as the patient's.")
            return np.eye(3)
        self._warn("The directions of the slices are not orthogonal unit vectors; the closest ones are taken.")
        u, _, v = np.linalg.svd(axes)
        return np.asarray(u @ v)

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._scan.log.warning("%s", sentence)


def _triple(values: Vector) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
