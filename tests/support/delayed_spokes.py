"""Spokes of objects whose k-space is known exactly, sampled where delayed gradients put them."""

import numpy as np
from scipy.special import j1

from spokestream.gadgets.messages import SpokeBlock
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

N_SAMPLES, CENTER, OVERSAMPLING = 96, 48, 2.0
CENTRES = np.array([[-0.2, 0.05], [0.1, -0.12], [0.17, 0.1]])  # in fields of view
WIDTHS = np.array([0.05, 0.06, 0.04])
T1_MS = np.array([300.0, 900.0, 1500.0])


def gaussians(k, coil, time_ms):
    """Three Gaussians that recover from inversion, as one coil sees them; k (..., 2), time (...)."""
    weight = np.exp(-4 * ((CENTRES - 0.6 * np.array([np.cos(2.1 * coil), np.sin(2.1 * coil)])) ** 2).sum(1) + 1j * coil)
    recovered = 1 - 2 * np.exp(-time_ms[..., None] / T1_MS)
    shape = np.exp(-2 * np.pi**2 * WIDTHS**2 * (k**2).sum(-1)[..., None] - 2j * np.pi * k @ CENTRES.T)
    return (weight * recovered * shape).sum(-1)


def disc(k, coil, time_ms):
    """A disc with a radius of 0.3 fields of view, whose centre lies at (0.04, -0.07)."""
    x = 2 * np.pi * 0.3 * np.hypot(*np.moveaxis(k, -1, 0))
    shape = np.where(x > 1e-9, 2 * j1(x) / np.maximum(x, 1e-9), 1.0)
    return shape * np.exp(-2j * np.pi * k @ [0.04, -0.07]) * (1 + coil) * (1 - 2 * np.exp(-time_ms / 800))


def delayed(delays, n_spokes=200, n_coils=4, signal=gaussians, noise=0.0, fov_ratio=1.0, number=0, seed=1):
    """Frames of 8 spokes with the nominal places; the samples lie at k - S u, with S from delays (xx, yy, xy)."""
    angle = golden_angles(np.arange(n_spokes))
    nominal = radial_spokes(angle, N_SAMPLES, CENTER, OVERSAMPLING)
    xx, yy, xy = delays
    step = np.stack([np.cos(angle), np.sin(angle)], axis=-1) / OVERSAMPLING
    actual = nominal - (step @ np.array([[xx, xy], [xy, yy]]))[:, None]
    per_x = np.array([1.0, fov_ratio])
    time_ms = np.broadcast_to(8.0 + 3.5 * np.arange(n_spokes)[:, None], actual.shape[:2])
    # the object has the same size in fields of view along x and along y
    data = np.stack([signal(actual * per_x, coil, time_ms) for coil in range(n_coils)])
    rng = np.random.default_rng(seed)
    data = data + noise * (rng.standard_normal(data.shape) + 1j * rng.standard_normal(data.shape))
    data, nominal = data.astype(np.complex64), (nominal * per_x).astype(np.float32)
    return [
        SpokeBlock(data[:, i : i + 8], nominal[i : i + 8], np.arange(i, i + 8), i // 8, number)
        for i in range(0, n_spokes, 8)
    ], (actual * per_x)
