"""Smooth random fields that do not depend on the grid on which they are sampled."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL_MM", "SmoothField"]

Float = NDArray[np.float32]

LEVEL_MM = 100.0
"""Length of one unit of level along the body; tissue changes as fast between slices as within them."""


class SmoothField:
    """A Gaussian-like field of zero mean and unit variance: a sum of plane waves with random direction and phase."""

    def __init__(self, rng: np.random.Generator, correlation_mm: float, n_waves: int = 48) -> None:
        # normal wave vectors give a Gaussian correlation function of this width
        self._wave = rng.standard_normal((n_waves, 3)) / correlation_mm
        self._phase = rng.uniform(0, 2 * np.pi, n_waves)

    def __call__(self, y_mm: Float, x_mm: Float, level: float) -> Float:
        """Values (y, x) on the grid of these two axes, at this level along the body."""
        kz, ky, kx = self._wave.T
        # cos(a + b) is the real part of a product, so that the sum over waves is one matrix product
        along_y = np.exp(1j * np.outer(y_mm, ky)) * np.exp(1j * (self._phase + kz * level * LEVEL_MM))
        along_x = np.exp(1j * np.outer(kx, x_mm))
        total = (along_y.astype(np.complex64) @ along_x.astype(np.complex64)).real
        return np.asarray(total * np.float32(np.sqrt(2 / len(self._phase))))
