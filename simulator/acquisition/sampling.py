"""Where and when a scan samples k-space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes, spiral_arms

__all__ = ["Sampling", "radial_readout", "spiral_readout"]

Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Positions and times of the samples of every spoke."""

    k: Real
    """(spokes, samples, 2): kx, ky in cycles per field of view."""
    time_ms: Real
    """(samples,) from the echo, where k = 0."""
    density: Real
    """(samples,) area of k-space that each sample represents if there is only one spoke, in (cycles per field of
    view)²; with m spokes it is divided by m."""

    def __len__(self) -> int:
        return len(self.k)

    def part(self, spokes: slice = slice(None), samples: slice = slice(None)) -> "Sampling":
        """The sampling restricted to these spokes and to these samples."""
        return Sampling(self.k[spokes, samples], self.time_ms[samples], self.density[samples])


def radial_readout(
    n_spokes: int, n_samples: int, center_sample: float, oversampling: float, dwell_us: float
) -> Sampling:
    """Golden-angle spokes through the centre of k-space: spoke j at j golden angles, samples `dwell_us` apart."""
    k = radial_spokes(golden_angles(np.arange(n_spokes)), n_samples, center_sample, oversampling)
    dk = 1 / oversampling
    radius = np.abs(np.arange(n_samples) - center_sample) * dk
    # a ring of width dk, half of it on each side of the centre, and a disc of diameter dk at k = 0; as in the
    # reconstruction, also where an asymmetric readout has only one side
    density = np.where(radius > 0, radius * dk * np.pi, np.pi * dk**2 / 4)
    return Sampling(k, np.asarray((np.arange(n_samples) - center_sample) * dwell_us * 1e-3, float), density)


def spiral_readout(n_spokes: int, n_samples: int, matrix: int, oversampling: float, dwell_us: float) -> Sampling:
    """Spiral arms that start at the centre of k-space at the echo time, a golden angle from arm to arm."""
    k = spiral_arms(golden_angles(np.arange(n_spokes)), n_samples, matrix, oversampling)
    density = np.full(n_samples, np.pi * (matrix / 2) ** 2 / max(n_samples - 1, 1))
    density[[0, -1]] /= 2  # the first and the last sample have only one neighbour
    return Sampling(k, np.asarray(np.arange(n_samples) * dwell_us * 1e-3, float), density)
