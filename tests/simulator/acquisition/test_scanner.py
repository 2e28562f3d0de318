"""Simulated k-space against the direct sum over voxels."""

from dataclasses import replace

import numpy as np
import pytest
from direct_sum import SHAPE, direct_sum, golden_k, random_phantom, random_sensitivities, sample_signal, short_sequence

from spokestream.errors import InputError
from spokestream.simulator.acquisition.sampling import Sampling, radial_readout
from spokestream.simulator.acquisition.scanner import acquire
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal

ONE_COIL = np.ones((1, *SHAPE), np.complex64)


def point(y, x, size=0.7):
    phantom = random_phantom()
    pd = np.zeros(SHAPE, np.float32)
    pd[y, x] = size
    return replace(phantom, pd=pd)


def frozen(n_samples, center_sample, oversampling):
    """A readout without duration, along which nothing turns."""
    return radial_readout(27, n_samples, center_sample, oversampling, dwell_us=0.0)


@pytest.mark.parametrize(
    ("n_samples", "center_sample", "oversampling", "dwell_us"), [(41, 17, 1.5, 20.0), (46, 23, 2, 2.0)]
)
def test_kspace_is_the_direct_sum(n_samples, center_sample, oversampling, dwell_us):
    phantom, maps, sequence = random_phantom(), random_sensitivities(), short_sequence()
    kspace = acquire(phantom, maps, sequence, radial_readout(27, n_samples, center_sample, oversampling, dwell_us))
    time_ms = (np.arange(n_samples) - center_sample) * dwell_us * 1e-3
    expected = direct_sum(phantom, maps, sequence, golden_k(27, n_samples, center_sample, oversampling), time_ms)
    assert kspace.dtype == np.complex64
    error = np.linalg.norm(kspace - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert error.max() < 1e-4  # of every single spoke


def test_kspace_of_a_gradient_spoiled_train_is_the_direct_sum_over_tissue_from_muscle_to_fluid():
    """T1 and T2 of every voxel its own, all states of the phase graph kept; RF spoiled, so that trains are complex."""
    rng, n = np.random.default_rng(4), 24
    phase = 50.0 * np.arange(n) * (np.arange(n) + 1) / 2
    sequence = PulseSequence(
        "fisp", rng.uniform(5, 60, n), np.full(n, 2.0), np.full(n, 9.0), ti_ms=15.0, recovery_ms=0.0, repetitions=1,
        rf_phase_deg=phase, spoiling="gradient",
    )  # fmt: skip
    phantom = random_phantom()
    tissue = phantom.pd > 0
    t1, t2 = (np.exp(rng.uniform(*np.log(span), SHAPE)).astype(np.float32) for span in ((700, 4000), (25, 1200)))
    nothing = np.zeros(SHAPE, np.float32)
    phantom = replace(phantom, ff=nothing, t1h2o=t1, t2h2o=t2, deltaf=nothing)
    readout, maps = radial_readout(n, 40, 18, 1.5, 4.0), random_sensitivities()
    trains = fingerprint(sequence, t1[tissue], t2[tissue], b1=phantom.b1[tissue], orders=n)
    rows, columns = np.nonzero(tissue)
    expected = np.empty((3, n, 40), complex)
    for j in range(n):
        turns = np.outer((columns - 23 // 2) / 23, readout.k[j, :, 0]) + np.outer(
            (rows - 19 // 2) / 19, readout.k[j, :, 1]
        )
        signal = phantom.pd[tissue] * trains[:, j]
        expected[:, j] = maps[:, rows, columns] @ (signal[:, None] * np.exp(-2j * np.pi * turns))
    kspace = acquire(phantom, maps, sequence, readout)
    error = np.linalg.norm(kspace - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert error.max() < 5e-4
    assert np.linalg.norm(kspace - expected) < 2e-4 * np.linalg.norm(expected)
    with pytest.raises(InputError, match="Balanced trains"):
        acquire(phantom, maps, replace(sequence, spoiling="balanced"), readout)


def test_any_positions_and_times_will_do():
    phantom, maps, sequence, rng = random_phantom(), random_sensitivities(), short_sequence(), np.random.default_rng(0)
    readout = Sampling(rng.uniform(-9, 9, (27, 33, 2)), np.sort(rng.uniform(-0.3, 0.9, 33)), np.ones(33))
    expected = direct_sum(phantom, maps, sequence, readout.k, readout.time_ms)
    np.testing.assert_allclose(
        acquire(phantom, maps, sequence, readout), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )


def test_it_is_the_adjoint_of_the_exact_sum_over_samples():
    """<A x, y> = <x, A^H y> for the part that is linear in the proton density, A^H summed exactly."""
    phantom, maps, sequence, rng = random_phantom(), random_sensitivities(), short_sequence(), np.random.default_rng(1)
    readout = radial_readout(27, 40, 18, 1.5, 4.0)
    kspace = acquire(phantom, maps, sequence, readout)
    y = rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape)
    backwards = 0
    rows, columns = np.nonzero(phantom.pd > 0)
    per_density = sample_signal(replace(phantom, pd=(phantom.pd > 0).astype(np.float32)), sequence, readout.time_ms)
    for j in range(27):
        turns = np.outer((columns - 23 // 2) / 23, readout.k[j, :, 0]) + np.outer(
            (rows - 19 // 2) / 19, readout.k[j, :, 1]
        )
        wave = per_density[:, j] * np.exp(-2j * np.pi * turns)
        backwards = backwards + np.einsum("cv,vs,cs->v", maps[:, rows, columns].conj(), wave.conj(), y[:, j])
    density = phantom.pd[rows, columns].astype(float)
    assert np.vdot(y, kspace) == pytest.approx(
        np.vdot(backwards, density), rel=6e-5
    )  # 3e-5 of the expansion, 1e-5 of the NUFFT


def test_a_point_at_the_centre_pixel_has_flat_kspace_of_its_own_signal():
    """Sign, scale and origin: pixel n//2 is r = 0, and k-space is a plain sum."""
    phantom, sequence = point(9, 11), short_sequence()
    names = ("ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")
    ff, t1h2o, t2h2o, t1fat, deltaf, b1 = (float(getattr(phantom, name)[9, 11]) for name in names)
    water, fat = pool_signal(sequence, t1h2o, b1, t2h2o), pool_signal(sequence, t1fat, b1, 80.0)
    mixture = (1 - ff) * water + ff * fat * FatModel().phasor(sequence.te_ms)
    expected = 0.7 * mixture * np.exp(-2j * np.pi * deltaf * sequence.te_ms * 1e-3)
    kspace = acquire(phantom, ONE_COIL, sequence, frozen(30, 12, 2))
    np.testing.assert_allclose(kspace[0], np.repeat(expected[:, None], 30, 1), rtol=0, atol=1e-4 * abs(expected).max())


def test_a_point_to_the_right_turns_clockwise_along_the_first_spoke():
    """s(k) = exp(-2 pi i k.r): the first spoke runs along +x, columns are x."""
    spoke = acquire(point(9, 11 + 4, 1), ONE_COIL, short_sequence(), frozen(20, 10, 1))[0, 0]
    np.testing.assert_allclose(spoke[1:] / spoke[:-1], np.exp(-2j * np.pi * 4 / 23), atol=2e-4)


def test_off_resonance_turns_on_along_the_readout():
    """Water 80 Hz off, 0.1 ms from sample to sample: 0.008 turns backwards each."""
    phantom = point(9, 11, 1)
    phantom = replace(phantom, ff=np.zeros(SHAPE, np.float32), deltaf=np.full(SHAPE, 80, np.float32))
    spoke = acquire(phantom, ONE_COIL, short_sequence(), radial_readout(27, 21, 10, 1, dwell_us=100.0))[0, 4]
    np.testing.assert_allclose(spoke[1:] / spoke[:-1], np.exp(-2j * np.pi * 0.008), atol=2e-4)


def test_progress_adds_up_to_one():
    shares = []
    acquire(random_phantom(), random_sensitivities(), short_sequence(), frozen(8, 4, 1), progress=shares.append)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_air_is_silent_and_shapes_must_agree():
    phantom, maps, sequence = random_phantom(), random_sensitivities(), short_sequence()
    air = replace(phantom, pd=np.zeros(SHAPE, np.float32))
    assert not acquire(air, maps, sequence, frozen(8, 4, 1)).any()
    with pytest.raises(ValueError, match="do not fit"):
        acquire(phantom, maps.transpose(0, 2, 1), sequence, frozen(8, 4, 1))
    with pytest.raises(ValueError, match="26 spokes, the sequence 27"):
        acquire(phantom, maps, sequence, frozen(8, 4, 1).part(slice(26)))
