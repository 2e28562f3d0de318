"""Smooth maps of off-resonance and B1, which do not depend on the grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.phantoms.fields import LEVEL_MM, SmoothField
from spokestream.simulator.phantoms.subject import Subject

__all__ = ["AirPocket", "FieldMaps"]

Float = NDArray[np.float32]

AIR_HZ = 400.0
"""Field at the rim of an air bubble in tissue, perpendicular to the main field: a third of 9.4 ppm at 127.7 MHz."""
MOST_HZ = 120.0


@dataclass(frozen=True)
class AirPocket:
    """A sphere of air; x to the patient's left, y to the back and z to the head in mm, z from level 0."""

    x_mm: float
    y_mm: float
    z_mm: float
    radius_mm: float

    def field_hz(self, y_mm: Float, x_mm: Float, level: float) -> Float:
        """The dipole field, R^3 (2 z^2 - x^2 - y^2) / r^5 in units of `AIR_HZ`; inside it is that at the rim."""
        y, x, z = y_mm[:, None] - self.y_mm, x_mm[None, :] - self.x_mm, level * LEVEL_MM - self.z_mm
        r2 = np.maximum(x**2 + y**2 + z**2, np.float32(1e-6))
        decay = np.minimum(self.radius_mm**2 / r2, 1) ** 1.5
        return np.asarray(AIR_HZ * decay * (3 * z**2 / r2 - 1), np.float32)


@dataclass(frozen=True)
class FieldMaps:
    """The parameters of off-resonance (Hz) and B1 (over nominal) in a part of the body."""

    b1: float
    b1_tilt: float = 0.07
    """Increase from the middle to the left: a rotating field is stronger on one side of a conductor."""
    b1_drop: float = 2e-6
    """Decrease per mm^2 from the middle."""
    b1_range: tuple[float, float] = (0.5, 1.0)
    smooth_hz: float = 40.0
    edge_hz: float = 0.0
    """Steep increase towards the patient's left edge, where the shim ends."""
    edge_mm: float = 125.0
    pockets: tuple[AirPocket, ...] = ()

    def __call__(self, subject: Subject, level: float, axis: Float) -> tuple[Float, Float]:
        """Off-resonance and B1, each (y, x), on a grid with this axis in mm along both directions."""
        y, x = axis[:, None], axis[None, :]
        shim = SmoothField(subject.rng("shim"), 55.0)(axis, axis, level)
        deltaf = self.smooth_hz * np.tanh(0.8 * shim)
        deltaf += self.edge_hz / (1 + np.exp(-(x + 0.25 * y - self.edge_mm + 10 * level) / 8)) - 0.1 * self.edge_hz
        for pocket in self.pockets:
            deltaf += pocket.field_hz(axis, axis, level)
        shading = SmoothField(subject.rng("shading"), 90.0)(axis, axis, level)
        b1 = self.b1 + self.b1_tilt * np.tanh(x / 120) + 0.15 * np.tanh(shading)
        b1 -= self.b1_drop * (x**2 + (y - 20) ** 2)
        low, high = self.b1_range
        middle, half = (high + low) / 2, (high - low) / 2
        b1 = middle + half * np.tanh((b1 - middle) / half)
        return (MOST_HZ * np.tanh(deltaf / MOST_HZ)).astype(np.float32), b1.astype(np.float32)
