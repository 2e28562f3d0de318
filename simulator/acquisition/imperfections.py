"""Imperfections of a scan: gradient delays, trajectory errors, field drift, lost or corrupted spokes, motion."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.phantoms import Phantom

__all__ = ["corrupt", "delay_gradients", "distort_trajectory", "drift_phase", "lose_and_repeat", "move"]

Complex = NDArray[np.complex64]

SPIKE = 1.0
"""Size of a spike relative to the largest sample of the slice. In weak parts of k-space it appears as a wave."""
RIPPLES = 4
"""Number of half waves along a readout in a trajectory error: the errors of gradients are smooth."""


def delay_gradients(readout: Sampling, delays: tuple[float, float]) -> Sampling:
    """The sample positions if the x and y gradients are delayed by these numbers of samples.

    A spoke at angle a is shifted by -(dx cos a, dy sin a) samples along the axes. The shift is along the spoke if both
    delays are equal, and has a perpendicular part if they differ (Rosenzweig et al. 2019). Gradients are taken as
    constant between samples.
    """
    n = readout.k.shape[1]
    k = np.empty_like(readout.k)
    for axis, delay in enumerate(delays):
        place = np.arange(n) - delay
        if readout.time_ms[0] >= 0:  # in a centre-out arm, the gradient has not started yet
            place = np.maximum(place, 0)
        before = np.clip(np.floor(place).astype(int), 0, n - 2)
        value = readout.k[..., axis]
        k[..., axis] = value[:, before] + (place - before) * (value[:, before + 1] - value[:, before])
    return replace(readout, k=k)


def distort_trajectory(readout: Sampling, error_samples: float, rng: np.random.Generator) -> Sampling:
    """The sample positions with a smooth error along the readout, whose root mean square is `error_samples`.

    Each gradient axis has its own response, as with eddy currents, which is equal for all spokes. The error of a spoke
    is proportional to its gradient along each axis; `error_samples` is for the full gradient.
    """
    n = readout.k.shape[1]
    half_waves = np.cos(np.pi * np.outer(np.arange(RIPPLES), (np.arange(n) + 0.5) / n))
    response = rng.standard_normal((2, RIPPLES)) @ half_waves
    response *= error_samples / np.sqrt(np.mean(response**2, axis=1, keepdims=True))
    return replace(readout, k=readout.k + response.T * np.gradient(readout.k, axis=1))


def drift_phase(offset_hz: NDArray[np.float64], te_ms: NDArray[np.float64], time_ms: NDArray[np.float64]) -> Complex:
    """Phasors (spokes, samples) of a field offset `offset_hz` (spokes,).

    The phase builds up from the excitation: exp(-2 pi i f (TE + t)), with the time t from the echo.
    """
    since_pulse_s = (te_ms[:, None] + time_ms) * 1e-3
    return np.asarray(np.exp(-2j * np.pi * offset_hz[:, None] * since_pulse_s), np.complex64)


def corrupt(kspace: Complex, fraction: float, rng: np.random.Generator) -> Complex:
    """The k-space (coils, spokes, samples) with a spike in this fraction of the spokes, in all coils."""
    kspace = kspace.copy()
    spokes = np.flatnonzero(rng.random(kspace.shape[1]) < fraction)
    samples = rng.integers(0, kspace.shape[2], spokes.size)
    kspace[:, spokes, samples] += np.float32(SPIKE * np.abs(kspace).max())
    return kspace


def lose_and_repeat(n: int, missing: float, duplicated: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Numbers of the readouts that arrive, in order: the fraction `missing` is lost, `duplicated` comes twice."""
    times = np.where(rng.random(n) < missing, 0, np.where(rng.random(n) < duplicated, 2, 1))
    return np.repeat(np.arange(n), times)


def move(phantom: Phantom, shift: tuple[int, int]) -> Phantom:
    """The phantom shifted by whole pixels (down, right), so that no tissue is interpolated.

    Its off-resonance moves with it, the transmit field B1 does not. Tissue that leaves the field of view is lost.
    """
    ny, nx = phantom.pd.shape
    dy, dx = shift

    def shifted(values: NDArray[Any]) -> NDArray[Any]:
        rows, columns = (np.clip(np.arange(n) - d, 0, n - 1) for n, d in ((ny, dy), (nx, dx)))
        return values[rows[:, None], columns]

    came_from = [np.arange(n) - d for n, d in ((ny, dy), (nx, dx))]
    inside = np.logical_and.outer(*((where >= 0) & (where < n) for where, n in zip(came_from, (ny, nx), strict=True)))
    tissue = ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "label", "purity")
    maps: dict[str, Any] = {name: np.where(inside, shifted(getattr(phantom, name)), 0) for name in tissue}
    maps = {name: values.astype(getattr(phantom, name).dtype) for name, values in maps.items()}
    return replace(phantom, **maps, deltaf=shifted(phantom.deltaf))
