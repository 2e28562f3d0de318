"""Flip angles over the thickness of a slice: no pulse excites a box."""

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError

__all__ = ["PROFILES", "slice_profile"]

Real = NDArray[np.float64]

PROFILES = ("rectangular", "hann-sinc", "gaussian")
THICKNESSES = 1.0
"""How far out of the middle a sinc's profile is followed, in nominal thicknesses."""
DEVIATIONS = 4
"""The same of a Gaussian, in standard deviations."""


def slice_profile(name: str, time_bandwidth: float = 4, sub_slices: int = 61) -> Real:
    """Flip angle over that of the middle, at evenly spaced places through the slice: (sub_slices,).

    For small flip angles it is the Fourier transform of the pulse: of a Hann-windowed sinc with this time-bandwidth
    product, or of a Gaussian. The signal of the slice is the mean over the places (`simulator/physics/fingerprint.py`).

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
