"""Calibration: a comparison of the standard deviations that a network gives with its actual errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration"]

BINS = 12
"""Number of bins of the standard deviation."""
SMALLEST = 1e-3
"""Bins divide the standard deviations from here to 1, as fractions of the map's range; the first and the last bin also
contain smaller and larger ones."""


class Calibration:
    """Collects errors in bins of the standard deviation that the network gave for them.

    Args:
        span: width of the map's range, in its unit.

    """

    def __init__(self, span: float) -> None:
        self._edges = span * np.geomspace(SMALLEST, 1, BINS + 1)[1:-1]
        self._n = np.zeros(BINS)
        self._expected = np.zeros(BINS)
        self._found = np.zeros(BINS)
        self._squared_ratio = 0.0
        self._within = np.zeros(2)

    def add(self, error: NDArray[np.floating], std: NDArray[np.floating]) -> None:
        """Add voxels, (n,) each in the map's unit. Voxels with a standard deviation of 0 are not used."""
        used = std > 0
        e, d = error[used].astype(np.float64), std[used].astype(np.float64)
        bins = np.digitize(d, self._edges)
        for sums, values in ((self._n, np.ones_like(d)), (self._expected, d**2), (self._found, e**2)):
            sums += np.bincount(bins, weights=values, minlength=BINS)
        ratio = np.abs(e) / d
        self._squared_ratio += float(np.square(ratio).sum())
        self._within += [np.sum(ratio < 1), np.sum(ratio < 2)]

    def result(self) -> dict[str, Any]:
        """The result as a table.

        It has the root mean square of error over standard deviation (more than 1 means overconfidence), and the
        fractions of errors within one and two standard deviations. For every bin that is not empty it has the number of
        voxels, and the expected and the actual root mean square error, in the map's unit.
        """
        n = self._n.sum()
        filled = self._n > 0
        one, two = self._within / n if n else (np.nan, np.nan)
        return {
            "error_over_std": float(np.sqrt(self._squared_ratio / n)) if n else float("nan"),
            "within_1_std": float(one),
            "within_2_std": float(two),
            "voxels": self._n[filled].astype(int).tolist(),
            "expected": np.sqrt(self._expected[filled] / self._n[filled]).tolist(),
            "found": np.sqrt(self._found[filled] / self._n[filled]).tolist(),
        }
