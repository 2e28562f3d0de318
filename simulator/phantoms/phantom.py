"""One slice of a phantom: maps of tissue parameters, from which scans are simulated; they are the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAP_UNITS", "Phantom"]

Float = NDArray[np.float32]

MAP_UNITS = {"pd": "1", "ff": "1", "t1h2o": "ms", "t2h2o": "ms", "t1fat": "ms", "deltaf": "Hz", "b1": "1"}
"""The maps of a phantom and their units."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """One slice: float32 maps (y, x); row 0 is anterior, column 0 the patient's right, pixel n//2 the centre."""

    pd: Float
    """Proton density, about 1 in fat and 0 in air."""
    ff: Float
    """Fat fraction 0..1 of the proton density."""
    t1h2o: Float
    """T1 of water, ms; 0 where there is no tissue."""
    t2h2o: Float
    """T2 of water, ms; 0 where there is no tissue."""
    t1fat: Float
    """T1 of fat, ms; 0 where there is no tissue."""
    deltaf: Float
    """Off-resonance, Hz."""
    b1: Float
    """Flip angle over nominal."""
    label: NDArray[np.uint8]
    """Tissue at the pixel's centre: index into `label_names`."""
    label_names: tuple[str, ...]
    purity: Float
    """Fraction of the pixel's volume with that label; 1 where the pixel holds no other tissue."""
    fov_mm: float
