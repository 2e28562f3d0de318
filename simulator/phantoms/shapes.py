"""The shapes of anatomy: ellipses and arcs that move, grow and end along the body."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arc", "Ellipse"]

Float = NDArray[np.float32]

ROUNDING = 0.3
"""Levels over which a shape tapers towards its ends."""


@dataclass(frozen=True)
class Ellipse:
    """Centre and semi-axes in the units of a plan; the first axis points sideways, the second to the front."""

    side: float
    front: float
    width: float
    height: float
    tilt_deg: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    """Shift of the centre (side, front) per unit of level."""
    growth: float = 0.0
    """Relative growth per unit of level."""
    span: tuple[float, float] = (-9.0, 9.0)
    """Levels between which the shape exists; its ends are rounded."""

    def gauge(self, side: Float, front: Float, level: float) -> Float:
        """The approximate distance to the rim, in units of the coordinates; negative inside, inf outside the span."""
        size = (1 + level * self.growth) * self._taper(level)
        if size <= 0:
            return np.full(np.broadcast_shapes(side.shape, front.shape), np.inf, np.float32)
        return self._distance(*self._own_frame(side, front, level), size)

    def _taper(self, level: float) -> float:
        low, high = self.span
        half = (high - low) / 2
        ends = min(half, ROUNDING)
        beyond = (abs(level - (low + high) / 2) - (half - ends)) / ends
        return float(np.sqrt(max(0.0, 1 - max(0.0, beyond) ** 2)))

    def _own_frame(self, side: Float, front: Float, level: float) -> tuple[Float, Float]:
        u, v = side - (self.side + level * self.drift[0]), front - (self.front + level * self.drift[1])
        c, s = (np.float32(f(np.deg2rad(self.tilt_deg))) for f in (np.cos, np.sin))
        return c * u + s * v, c * v - s * u

    def _distance(self, u: Float, v: Float, size: float) -> Float:
        a, b = np.float32(self.width * size), np.float32(self.height * size)
        radius = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        return np.asarray((radius - 1) * np.sqrt(a * b))


@dataclass(frozen=True)
class Arc(Ellipse):
    """A band along the rim of an ellipse, from one bearing to another (degrees from the first axis to the second)."""

    thickness: float = 1.0
    start_deg: float = -180.0
    end_deg: float = 180.0

    def _distance(self, u: Float, v: Float, size: float) -> Float:
        a, b, half = (np.float32(length * size) for length in (self.width, self.height, self.thickness / 2))
        radius = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        middle, reach = np.deg2rad((self.start_deg + self.end_deg) / 2), np.deg2rad((self.end_deg - self.start_deg) / 2)
        from_middle = np.abs(np.angle(np.exp(1j * (np.arctan2(v / b, u / a) - middle)))).astype(np.float32)
        across = np.abs(radius - 1) * np.hypot(u, v) / np.maximum(radius, np.float32(1e-3))
        along = np.maximum(from_middle - np.float32(reach), 0) * np.sqrt(a * b)
        return np.asarray(np.hypot(across, along) - half, np.float32)
