"""The spectrum of fat: frequencies and amplitudes of its peaks, at any field strength."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FIELD_TOLERANCE", "REFERENCE_FIELD_T", "FatModel"]

REFERENCE_FIELD_T = 2.89
"""Field strength for which the default spectrum is tabulated."""
FIELD_TOLERANCE = 0.05
"""Largest relative difference between two field strengths whose fat spectra may be taken for each other."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FatModel:
    """The fat spectrum: peaks below the water frequency, amplitudes that sum to about one.

    Default: six peaks at 2.89 T as used by the authors of MRF T1-FF.
    """

    frequency_hz: Array = field(default_factory=lambda: np.array([-101.1, 208.3, 281.0, 305.7, 395.6, 446.2]))
    amplitude: Array = field(default_factory=lambda: np.array([0.0586, 0.0109, 0.0618, 0.1412, 0.66, 0.0673]))

    def at(self, field_t: float) -> "FatModel":
        """The same spectrum at another field strength, to which chemical shifts are proportional."""
        return FatModel(self.frequency_hz * (field_t / REFERENCE_FIELD_T), self.amplitude)

    @property
    def field_t(self) -> float:
        """The field strength at which the strongest peak of the default spectrum has the frequency of this one's."""
        return float(REFERENCE_FIELD_T * self._main_hz / FatModel()._main_hz)

    @property
    def _main_hz(self) -> float:
        return float(self.frequency_hz[np.argmax(self.amplitude)])

    def phasor(self, time_ms: ArrayLike) -> NDArray[np.complex128]:
        """F(t) = sum over peaks of a_p exp(-2 pi i f_p t), of the shape of `time_ms`."""
        t = np.asarray(time_ms, float)[..., None] * 1e-3
        return np.asarray(np.exp(-2j * np.pi * self.frequency_hz * t) @ self.amplitude)
