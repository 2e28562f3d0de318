"""Simulated k-space against the direct sum over voxels."""

import numpy as np
import pytest

from simulator.phantoms import Phantom
from simulator.scanner import acquire
from simulator.sequence import Sequence
from simulator.signal import FatModel, pool_signal, voxel_signal

SHAPE = (19, 23)


def short_sequence():
    """Three echo times in turn, flip angles all different: no two spokes have the same contrast."""
    te = np.tile([2.39, 3.45, 4.63], 9)
    return Sequence("short", np.linspace(4, 31, 27), te, te + 1.2, ti_ms=9.0, recovery_ms=150.0)


def random_phantom(seed=5):
    rng = np.random.default_rng(seed)

    def uniform(low, high):
        return rng.uniform(low, high, SHAPE).astype(np.float32)

    pd, ff, t1h2o, t1fat = uniform(0.2, 1), uniform(0, 1), uniform(700, 1900), uniform(250, 400)
    pd[:3] = 0
    ff[5], t1fat[5] = 0, 0  # pure water and pure fat have no T1 of the other pool
    ff[6], t1h2o[6] = 1, 0
    label = np.ones(SHAPE, np.uint8)
    return Phantom(pd, ff, t1h2o, t1fat, uniform(-100, 100), uniform(0.4, 1), label, ("air", "tissue"), 200.0)


def golden_k(n_spokes, n_samples, center_sample, oversampling):
    angle = np.deg2rad(111.246117975) * np.arange(n_spokes)
    radius = (np.arange(n_samples) - center_sample) / oversampling
    return radius * np.cos(angle)[:, None], radius * np.sin(angle)[:, None]


def direct_sum(phantom, sensitivities, sequence, n_samples, center_sample, oversampling, dwell_us):
    """The definition, voxel by voxel: the fat spectrum at the time of every sample, everything else per spoke."""
    ny, nx = SHAPE
    y, x = np.divmod(np.flatnonzero(phantom.pd > 0), nx)
    pd, ff, deltaf, b1 = (getattr(phantom, name)[y, x].astype(float) for name in ("pd", "ff", "deltaf", "b1"))
    t1h2o, t1fat = (np.maximum(getattr(phantom, name)[y, x], 1) for name in ("t1h2o", "t1fat"))
    water = (1 - ff)[:, None] * pool_signal(sequence, t1h2o, b1, 40.0)
    fat = ff[:, None] * pool_signal(sequence, t1fat, b1, 80.0)
    off = np.exp(-2j * np.pi * deltaf[:, None] * sequence.te_ms * 1e-3)
    kx, ky = golden_k(len(sequence), n_samples, center_sample, oversampling)
    time_ms = (np.arange(n_samples) - center_sample) * dwell_us * 1e-3
    kspace = np.empty((len(sensitivities), len(sequence), n_samples), complex)
    for j, te_ms in enumerate(sequence.te_ms):
        spectrum = FatModel().phasor(te_ms + time_ms)
        signal = (water[:, j, None] + fat[:, j, None] * spectrum) * (pd * off[:, j])[:, None]
        wave = np.exp(-2j * np.pi * (np.outer((x - nx // 2) / nx, kx[j]) + np.outer((y - ny // 2) / ny, ky[j])))
        kspace[:, j] = sensitivities[:, y, x] @ (signal * wave)
    return kspace


def random_sensitivities(n_coils=3, seed=2):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n_coils, *SHAPE)) + 1j * rng.standard_normal((n_coils, *SHAPE))).astype(np.complex64)


@pytest.mark.parametrize(
    ("n_samples", "center_sample", "oversampling", "dwell_us"), [(41, 17, 1.5, 20.0), (46, 23, 2, 2.0)]
)
def test_kspace_is_the_direct_sum(n_samples, center_sample, oversampling, dwell_us):
    phantom, maps, sequence = random_phantom(), random_sensitivities(), short_sequence()
    readout = (n_samples, center_sample, oversampling, dwell_us)
    kspace = acquire(phantom, maps, sequence, *readout)
    expected = direct_sum(phantom, maps, sequence, *readout)
    assert kspace.dtype == np.complex64
    error = np.linalg.norm(kspace - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert error.max() < 1e-4  # of every single spoke


def test_a_point_at_the_centre_pixel_has_flat_kspace_of_its_own_signal():
    """Sign, scale and origin: pixel n//2 is r = 0, and k-space is a plain sum."""
    phantom, sequence = random_phantom(), short_sequence()
    point = np.zeros(SHAPE, np.float32)
    point[9, 11] = 0.7
    phantom = Phantom(point, *(getattr(phantom, name) for name in list(Phantom.__annotations__)[1:]))
    values = (getattr(phantom, name)[9, 11] for name in ("ff", "t1h2o", "t1fat", "deltaf", "b1"))
    expected = 0.7 * voxel_signal(sequence, *values)
    # a readout without duration, so that the fat spectrum stands still
    kspace = acquire(phantom, np.ones((1, *SHAPE), np.complex64), sequence, 30, 12, 2, dwell_us=0.0)
    np.testing.assert_allclose(kspace[0], np.repeat(expected[:, None], 30, 1), rtol=0, atol=1e-4 * abs(expected).max())


def test_a_point_to_the_right_turns_clockwise_along_the_first_spoke():
    """s(k) = exp(-2 pi i k.r): the first spoke runs along +x, columns are x."""
    phantom, sequence = random_phantom(), short_sequence()
    point = np.zeros(SHAPE, np.float32)
    point[9, 11 + 4] = 1
    phantom = Phantom(point, *(getattr(phantom, name) for name in list(Phantom.__annotations__)[1:]))
    spoke = acquire(phantom, np.ones((1, *SHAPE), np.complex64), sequence, 20, 10, 1, dwell_us=0.0)[0, 0]
    steps = spoke[1:] / spoke[:-1]
    np.testing.assert_allclose(steps, np.exp(-2j * np.pi * 4 / 23), atol=2e-4)


def test_progress_adds_up_to_one():
    shares = []
    acquire(random_phantom(), random_sensitivities(), short_sequence(), 8, 4, 1, 2.0, progress=shares.append)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_air_is_silent_and_shapes_must_agree():
    phantom = random_phantom()
    air = Phantom(np.zeros(SHAPE, np.float32), *(getattr(phantom, n) for n in list(Phantom.__annotations__)[1:]))
    assert not acquire(air, random_sensitivities(), short_sequence(), 8, 4, 1, 2.0).any()
    with pytest.raises(ValueError, match="do not fit"):
        acquire(phantom, random_sensitivities().transpose(0, 2, 1), short_sequence(), 8, 4, 1, 2.0)
