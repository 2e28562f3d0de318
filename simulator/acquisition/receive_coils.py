"""A receive array: sensitivities of loops around the body, and the correlation of their noise."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["loop_field", "noise_covariance", "receive_array"]

Real = NDArray[np.float64]

SEGMENTS = 12
"""Half a loop is made of this many straight pieces; the corners do not matter a few centimetres away."""
WIRE_MM = 12.0
"""Loops are strips; closer than this, their field does not increase."""


def receive_array(
    n_coils: int, matrix: int, fov_mm: float, seed: int = 0, body_mm: float | None = None
) -> NDArray[np.complex64]:
    """Sensitivities of circular loops on an ellipse around the body; the loops face its axis.

    The receive field of every loop is Bx - i By of a unit current (Biot-Savart), with a random receiver phase. The
    array is scaled so that the root sum of squares at the centre is 1.

    Args:
        n_coils: number of loops, evenly spaced; position, size and phase vary a little with `seed`.
        matrix: pixels along y and x.
        fov_mm: field of view.
        seed: of the random numbers.
        body_mm: field of view that holds the body, by default `fov_mm`. The semi-axes of the ellipse are 0.72 and 0.58
            times as long, about 5 cm from the skin.

    Returns:
        (coils, y, x); the centre is in pixel matrix // 2.

    Raises ValueError, a programming error, when there is no coil, no pixel or no field of view.

    """
    if n_coils < 1 or matrix < 1 or not fov_mm > 0:
        raise ValueError(f"An array needs coils, pixels and a field of view, got {n_coils}, {matrix}, {fov_mm:g} mm.")
    rng = np.random.default_rng(seed)
    bearing = 2 * np.pi * (np.arange(n_coils) + 0.15 * rng.uniform(-1, 1, n_coils)) / n_coils
    body_mm = body_mm or fov_mm
    radius = body_mm * min(0.25, 2.4 / n_coils) * rng.uniform(0.9, 1.1, n_coils)
    phase = rng.uniform(0, 2 * np.pi, n_coils)
    axis = (np.arange(matrix) - matrix // 2) * fov_mm / matrix
    maps = np.empty((n_coils, matrix, matrix), np.complex64)
    for coil, (angle, size) in enumerate(zip(bearing, radius, strict=True)):
        center = body_mm * np.array([0.72 * np.cos(angle), 0.58 * np.sin(angle)])
        maps[coil] = loop_field(center, size, axis) * np.exp(1j * phase[coil])
    middle = maps[:, matrix // 2, matrix // 2]
    maps /= np.sqrt(np.sum(np.abs(middle) ** 2))
    return maps


def loop_field(center: Real, radius: float, axis: Real) -> NDArray[np.complex128]:
    """The field Bx - i By (y, x), in the plane z = 0, of a loop around `center` (x, y) that faces the origin.

    The unit is mu0 I / 4 pi per mm, for lengths in mm. The loop is symmetric about the plane, so that its two halves
    have the same transverse field there.
    """
    normal = -center / np.hypot(*center)
    tangent = np.array([-normal[1], normal[0]])
    bearing = np.pi * np.arange(SEGMENTS + 1) / SEGMENTS
    corner = center + radius * np.cos(bearing)[:, None] * tangent
    height = radius * np.sin(bearing)
    field = np.zeros((axis.size, axis.size), np.complex128)
    for k in range(SEGMENTS):
        (dx, dy), dz = corner[k + 1] - corner[k], height[k + 1] - height[k]
        x = axis[None, :] - (corner[k] + corner[k + 1])[0] / 2
        y = axis[:, None] - (corner[k] + corner[k + 1])[1] / 2
        z = -(height[k] + height[k + 1]) / 2
        distance = np.maximum(np.sqrt(x * x + y * y + z * z), WIRE_MM)
        field += 2 * ((dy * z - dz * y) - 1j * (dz * x - dx * z)) / distance**3
    return field


def noise_covariance(n_coils: int, seed: int = 0) -> NDArray[np.complex128]:
    """The noise covariance (coils, coils) of the array: Hermitian, positive definite, with mean variance 1.

    Neighbouring coils see the same tissue, so that about a third of their noise is common. The correlation decreases
    exponentially around the ring; gains differ by about 20 %.

    Raises ValueError, a programming error, when there is no coil.
    """
    if n_coils < 1:
        raise ValueError("An array needs at least one coil.")
    rng = np.random.default_rng(seed)
    steps = np.abs(np.subtract.outer(np.arange(n_coils), np.arange(n_coils)))
    # exp(-distance) is positive definite on a line and on a circle
    correlation = 0.35 ** np.minimum(steps, n_coils - steps)
    gain = rng.uniform(0.8, 1.2, n_coils) * np.exp(2j * np.pi * rng.random(n_coils))
    covariance = gain[:, None] * correlation * gain.conj()
    return np.asarray(covariance / np.mean(np.abs(gain) ** 2))
