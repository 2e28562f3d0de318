"""What a scan suffers from: gradients that lag, a field that drifts, spokes that get lost, patients who move."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.phantoms import Phantom

__all__ = ["corrupt", "delay_gradients", "distort_trajectory", "drift_phase", "lose_and_repeat", "move"]

Complex = NDArray[np.complex64]

SPIKE = 1.0
"""Of a corrupted readout, over the largest sample of the slice: out where k-space is faint, it shows as a wave."""
RIPPLES = 4
"""Half waves along a readout that a trajectory error is made of: gradients cannot err faster."""


def delay_gradients(readout: Sampling, delays: tuple[float, float]) -> Sampling:
    """The positions that are sampled when the x and y gradients come late by these numbers of samples.

    A spoke at angle a is shifted by -(dx cos a, dy sin a) samples along the axes: along itself when both delays are
    alike, and to the side as well when they differ (Rosenzweig et al. 2019). Between samples the gradients are taken
    as constant.
    """
    n = readout.k.shape[1]
    k = np.empty_like(readout.k)
    for axis, delay in enumerate(delays):
        place = np.arange(n) - delay
        if readout.time_ms[0] >= 0:  # a centre-out arm: the gradient has not begun
            place = np.maximum(place, 0)
        before = np.clip(np.floor(place).astype(int), 0, n - 2)
        value = readout.k[..., axis]
        k[..., axis] = value[:, before] + (place - before) * (value[:, before + 1] - value[:, before])
    return replace(readout, k=k)


def distort_trajectory(readout: Sampling, error_samples: float, rng: np.random.Generator) -> Sampling:
    """Positions with a smooth error along the readout, of this root mean square in samples at full gradient.

    Each gradient axis has a response of its own that is the same for all spokes, as eddy currents have: the error of
    a spoke goes with the gradient that it takes from each axis.
    """
    n = readout.k.shape[1]
    half_waves = np.cos(np.pi * np.outer(np.arange(RIPPLES), (np.arange(n) + 0.5) / n))
    response = rng.standard_normal((2, RIPPLES)) @ half_waves
    response *= error_samples / np.sqrt(np.mean(response**2, axis=1, keepdims=True))
    return replace(readout, k=readout.k + response.T * np.gradient(readout.k, axis=1))


def drift_phase(offset_hz: NDArray[np.float64], te_ms: NDArray[np.float64], time_ms: NDArray[np.float64]) -> Complex:
    """(spokes, samples) phasors of a field that is off by `offset_hz` (spokes,) at each of the spokes.

    It acts from the excitation on: exp(-2 pi i f (TE + t)), t from the echo.
    """
    since_pulse_s = (te_ms[:, None] + time_ms) * 1e-3
    return np.asarray(np.exp(-2j * np.pi * offset_hz[:, None] * since_pulse_s), np.complex64)


def corrupt(kspace: Complex, fraction: float, rng: np.random.Generator) -> Complex:
    """K-space (coils, spokes, samples) in which this fraction of the spokes holds a spike in all coils."""
    kspace = kspace.copy()
    spokes = np.flatnonzero(rng.random(kspace.shape[1]) < fraction)
    samples = rng.integers(0, kspace.shape[2], spokes.size)
    kspace[:, spokes, samples] += np.float32(SPIKE * np.abs(kspace).max())
    return kspace


def lose_and_repeat(n: int, missing: float, duplicated: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which of `n` readouts arrive, in order: some never (share `missing`), some twice (share `duplicated`)."""
    times = np.where(rng.random(n) < missing, 0, np.where(rng.random(n) < duplicated, 2, 1))
    return np.repeat(np.arange(n), times)


def move(phantom: Phantom, shift: tuple[int, int]) -> Phantom:
    """The phantom shifted by whole pixels (down, right), so that no tissue is interpolated.

    Its off-resonance moves along, the transmit field B1 stays. What leaves the field of view is gone.
    """
    ny, nx = phantom.pd.shape
    dy, dx = shift

    def shifted(values: NDArray[Any]) -> NDArray[Any]:
        rows, columns = (np.clip(np.arange(n) - d, 0, n - 1) for n, d in ((ny, dy), (nx, dx)))
        return values[rows[:, None], columns]

    came_from = [np.arange(n) - d for n, d in ((ny, dy), (nx, dx))]
    inside = np.logical_and.outer(*((where >= 0) & (where < n) for where, n in zip(came_from, (ny, nx), strict=True)))
    tissue = ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "label")
    maps: dict[str, Any] = {name: np.where(inside, shifted(getattr(phantom, name)), 0) for name in tissue}
    maps = {name: values.astype(getattr(phantom, name).dtype) for name, values in maps.items()}
    return replace(phantom, **maps, deltaf=shifted(phantom.deltaf))
