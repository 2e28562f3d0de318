"""Where and when a scan samples k-space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.trajectory import (
    epi_raster,
    golden_angles,
    radial_spokes,
    ring_areas,
    spiral_arms,
)

__all__ = ["Sampling", "epi_readout", "radial_readout", "spiral_readout"]

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
    density = ring_areas(np.hypot(*k[0].T))
    return Sampling(k, np.asarray(np.arange(n_samples) * dwell_us * 1e-3, float), density)


def epi_readout(n_images: int, samples_per_line: int, matrix: int, oversampling: float, dwell_us: float) -> Sampling:
    """Echo-planar images: every readout samples all lines of k-space, and reaches k = 0 at the echo time."""
    raster = epi_raster(matrix, samples_per_line, oversampling)
    center = int(np.argmin(np.hypot(*raster.T)))
    time_ms = np.asarray((np.arange(len(raster)) - center) * dwell_us * 1e-3, float)
    k = np.broadcast_to(raster, (n_images, *raster.shape))
    return Sampling(k, time_ms, np.full(len(raster), 1 / oversampling))
