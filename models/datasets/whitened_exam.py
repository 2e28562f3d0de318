"""An exam as the reconstruction sees it, with whitened coils and white noise."""

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.noise.covariance import whitening_matrix
from spokestream.simulator.exam import Exam
from spokestream.simulator.simulation_settings import SimulationSettings

__all__ = ["Noise", "WhitenedExam"]

NOISE = 8
"""Purpose number of the random numbers for receiver noise, see `Exam.rng`."""


class WhitenedExam(Exam):
    """An exam whose noise covariance is known exactly. Raises InputError for settings that cannot be scanned."""

    def __init__(self, settings: SimulationSettings) -> None:
        super().__init__(settings)
        self.coils = np.tensordot(whitening_matrix(self.covariance), self.sensitivities, 1)
        """(coils, y, x) sensitivities after whitening; noise is white then, with standard deviation `sigma`."""
        self.phantoms = [self.phantom(index) for index in range(settings.slices)]

    def noise(self, index: int, coils: int) -> "Noise":
        """Receiver noise of one slice in this many coils; the same numbers in every call."""
        return Noise(self.sigma, coils, self.protocol.n_samples, self.rng(NOISE, index))


class Noise:
    """White noise, drawn one spoke after the other."""

    def __init__(self, sigma: float, coils: int, samples: int, rng: np.random.Generator) -> None:
        self._sigma, self._shape, self._rng = np.float32(sigma), (coils, samples), rng

    def spokes(self, n: int) -> NDArray[np.complex64]:
        """Noise (coils, n, samples) of the next n spokes."""
        coils, samples = self._shape
        white = self._rng.standard_normal((n, coils, samples, 2), np.float32).view(np.complex64)[..., 0]
        return (self._sigma * white).transpose(1, 0, 2)
