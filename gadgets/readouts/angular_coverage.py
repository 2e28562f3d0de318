"""The directions of a slice's spokes or arms: they must cover all angles, or the image cannot be computed."""

import numpy as np

from spokestream.errors import ScanError
from spokestream.simulator.physics.trajectory import golden_angles

__all__ = ["AngularCoverage"]

LARGEST_GAP_DEG = 45.0
"""Largest angle without a spoke. Eight golden-angle spokes leave out at most 30 degrees."""
FEWEST = 8
"""Fewer spokes are not checked."""
SAME_ANGLE_RAD = 0.01


class AngularCoverage:
    """Collects the directions of the spokes or arms of one slice."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._bearings: list[float] = []

    def add(self, index: int, bearing: float) -> None:
        """Add spoke `index`, whose direction is `bearing` in radians."""
        self._indices.append(index)
        self._bearings.append(bearing)

    def check(self, slice_index: int, *, angles_from_header: bool, period_deg: float = 180.0) -> None:
        """Check the slice.

        Args:
            slice_index: the slice, for the error.
            angles_from_header: whether the angles come from the headers of the readouts.
            period_deg: angle after which a readout covers the same part of k-space again: 180 if it passes k = 0, 360
                if it begins or ends there.

        Raises ScanError if a large range of angles has no spoke, or if the angles are golden angles in degrees.

        """
        if len(self._bearings) < FEWEST:
            return
        bearings = np.array(self._bearings)
        where = " in user_float[0]" if angles_from_header else ""
        if angles_from_header:
            off = np.deg2rad(bearings) - golden_angles(self._indices)
            if np.abs(np.sin(off)).max() < SAME_ANGLE_RAD:
                raise ScanError("The angles in user_float[0] are golden angles in degrees; they must be in radians.")
        sorted_deg = np.sort(np.rad2deg(bearings) % period_deg)
        gap = float(np.diff(sorted_deg, append=sorted_deg[0] + period_deg).max())
        if gap > LARGEST_GAP_DEG:
            raise ScanError(
                f"Slice {slice_index + 1}: no spoke lies in a range of {gap:.0f} degrees; the angles{where} were "
                "probably never filled in, or do not belong to this scan."
            )
