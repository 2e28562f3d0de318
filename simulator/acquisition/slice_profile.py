"""The profile of flip angles through a slice."""

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError

__all__ = ["PROFILES", "slice_profile"]

Real = NDArray[np.float64]

PROFILES = ("rectangular", "hann-sinc", "gaussian")
THICKNESSES = 1.0
"""The profile of a sinc is computed up to this distance from the middle, in nominal thicknesses."""
DEVIATIONS = 4
"""The profile of a Gaussian is computed up to this distance from the middle, in standard deviations."""


def slice_profile(name: str, time_bandwidth: float = 4, sub_slices: int = 61) -> Real:
    """The flip angle relative to that in the middle, at evenly spaced positions through the slice: (sub_slices,).

    For small flip angles it is the Fourier transform of the pulse, which is a Hann-windowed sinc with this
    time-bandwidth product, or a Gaussian. `simulator/physics/fingerprint.py` averages the signal over the positions.

    Raises InputError for a name that is not one of `PROFILES`.
    """
    if name == "rectangular":
        return np.ones(1)
    if name == "gaussian":
        return np.asarray(np.exp(-(np.linspace(-DEVIATIONS, DEVIATIONS, sub_slices) ** 2) / 2))
    if name == "hann-sinc":
        time = np.linspace(-1, 1, 801)
        pulse = np.sinc(time_bandwidth / 2 * time) * (1 + np.cos(np.pi * time)) / 2
        place = np.linspace(-THICKNESSES, THICKNESSES, sub_slices)
        return np.asarray(np.cos(np.pi * time_bandwidth * np.outer(place, time)) @ pulse / pulse.sum())
    raise InputError(f"A slice profile is one of {', '.join(PROFILES)}, not '{name}'.")
