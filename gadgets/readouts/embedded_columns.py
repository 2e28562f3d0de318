"""The columns of embedded trajectories: kx, ky, and the density of the samples, which is not used; kz is refused."""

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError

__all__ = ["ThirdColumn", "filled_columns"]

ROUNDING = 1e-5
"""Values that are smaller, relative to the largest one, are zero."""
ALIKE = 0.1
"""Relative difference between the constant values of two spokes."""


class ThirdColumn:
    """Checks that the third column of every spoke of a scan is a density, or one constant kz of a 2-D slice.

    A density is never negative and is smallest at k = 0. kz changes its sign along a tilted spoke, or is constant along
    a spoke and changes from one partition to the next.
    """

    def __init__(self) -> None:
        self._constant: float | None = None

    def check(self, values: NDArray[np.float64], center: int, index: int) -> None:
        """Raise ScanError if the third column (samples,) of spoke `index`, with k = 0 at sample `center`, is kz."""
        low, high = float(values.min()), float(values.max())
        largest = max(-low, high)
        if high - low <= ROUNDING * largest:
            if self._constant is None:
                self._constant = high
            elif abs(high - self._constant) > ALIKE * max(abs(high), abs(self._constant)):
                raise ScanError(
                    f"The third column of the trajectory changes from {self._constant:.4g} to {high:.4g} at spoke "
                    f"{index}: kz of a 3-D scan; this node reconstructs 2-D slices."
                )
            return
        n = len(values)
        if low < -ROUNDING * largest or abs(int(np.argmin(values)) - center) > n / 8 + 1:
            raise ScanError(
                f"The third column of the trajectory of spoke {index} goes from {low:.4g} to {high:.4g} and is no "
                "density: kz of a 3-D scan or of a tilted slice; this node reconstructs 2-D slices with kx and ky in "
                "their plane."
            )


def filled_columns(readout: ismrmrd.Acquisition) -> NDArray[np.float32] | None:
    """The embedded trajectory (samples, 2 or 3) of a readout, or None. Raises ScanError for one of other columns."""
    columns = int(readout.trajectory_dimensions)
    if columns in (2, 3):
        return np.asarray(readout.traj)
    if not columns or not readout.traj.any():
        return None
    raise ScanError(
        f"The embedded trajectory has {columns} column{'s' if columns > 1 else ''}; kx and ky are known, and a density "
        "beside them. Spokes at golden angles need none: say so by trajectory=golden."
    )
