"""How much the values under the circles of a layout are like its reference values.

The measure is the concordance correlation coefficient (Lin, Biometrics 1989;45:255) of the voxels under the circles
with the reference values of their vials, times the fraction of the circles' area that shows tissue. It is 1 if every
circle is uniform and has its reference value. It falls if circles lie beside their vials, because they are not uniform
then, and if the vials have other values. Unlike a correlation, it also falls if all values are too large or too small,
so that it distinguishes arrays of spheres that lie in equal places. Quantities that are shown on a logarithmic scale
are compared by their logarithms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sums", "together"]

Float = NDArray[np.float64]


@dataclass
class Sums:
    """Sums over the voxels under all circles, of one pose or of an array of poses."""

    area: float
    """Area of all circles, in voxels."""
    n: Float
    """Number of voxels that show tissue."""
    m: Float
    """Sum of the map's values."""
    mm: Float
    """Sum of their squares."""
    v: Float
    """Sum of the reference values."""
    vv: Float
    mv: Float

    def likeness(self) -> Float:
        """The measure, 1 at most."""
        n = np.maximum(self.n, 1e-9)
        mean_m, mean_v = self.m / n, self.v / n
        spread = np.maximum(self.mm / n - mean_m**2, 0) + np.maximum(self.vv / n - mean_v**2, 0)
        together = self.mv / n - mean_m * mean_v
        concordance = 2 * together / np.maximum(spread + (mean_m - mean_v) ** 2, 1e-12)
        return np.asarray(concordance * np.minimum(self.n / self.area, 1))


def together(likeness: Sequence[Float]) -> Float:
    """The likeness of several maps together: one minus the geometric mean of what each lacks.

    A map that agrees well counts more than one that agrees badly wherever the layout lies, as T2 does where B1 is not
    nominal.
    """
    return np.asarray(1 - np.exp(np.mean(np.log(np.maximum(1 - np.asarray(likeness), 1e-6)), axis=0)))
