"""Imperfections: each does what it says, by direct sums and by counting."""

from dataclasses import replace

import numpy as np
import pytest
from direct_sum import SHAPE, direct_sum, golden_k, random_phantom, random_sensitivities, short_sequence

from spokestream.simulator.acquisition.imperfections import (
    corrupt,
    delay_gradients,
    distort_trajectory,
    drift_phase,
    lose_and_repeat,
    move,
)
from spokestream.simulator.acquisition.sampling import radial_readout, spiral_readout
from spokestream.simulator.acquisition.scanner import acquire


def test_late_gradients_sample_what_lies_behind():
    """A spoke at angle a is shifted by -(dx cos a, dy sin a) samples; k-space against the direct sum there."""
    phantom, maps, sequence = random_phantom(), random_sensitivities(), short_sequence()
    nominal = radial_readout(27, 41, 17, 1.5, 10.0)
    angle = np.deg2rad(111.246117975) * np.arange(27)
    shift = np.stack([0.3 * np.cos(angle), -0.2 * np.sin(angle)], axis=-1) / 1.5
    expected = direct_sum(phantom, maps, sequence, golden_k(27, 41, 17, 1.5) - shift[:, None], nominal.time_ms)
    kspace = acquire(phantom, maps, sequence, delay_gradients(nominal, (0.3, -0.2)))
    np.testing.assert_allclose(kspace, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_equal_delays_shift_a_spoke_along_itself():
    nominal = radial_readout(9, 41, 17, 1.5, 10.0)
    np.testing.assert_allclose(delay_gradients(nominal, (1.0, 1.0)).k[:, 1:], nominal.k[:, :-1], atol=1e-12)


def test_a_delayed_spiral_lags_by_so_many_samples():
    nominal = spiral_readout(3, 4000, 96, 2, 2.0)
    late = delay_gradients(nominal, (0.5, 2.0)).k
    np.testing.assert_allclose(late[:, 1:, 0], (nominal.k[:, 1:, 0] + nominal.k[:, :-1, 0]) / 2, atol=1e-12)
    np.testing.assert_allclose(late[:, 2:, 1], nominal.k[:, :-2, 1], atol=1e-12)
    assert not late[:, 0].any()  # what is late has not begun


def test_trajectory_error_is_smooth_of_the_size_asked_for_and_the_same_for_all_spokes():
    nominal = radial_readout(31, 82, 41, 2, 2.0)
    error = (distort_trajectory(nominal, 0.4, np.random.default_rng(0)).k - nominal.k) * 2  # samples
    angle = np.deg2rad(111.246117975) * np.arange(31)
    response = error[0, :, 0] / np.cos(angle[0])
    assert np.sqrt(np.mean(response**2)) == pytest.approx(0.4)
    np.testing.assert_allclose(error[..., 0], np.outer(np.cos(angle), response), atol=1e-9)
    assert np.abs(np.fft.rfft(response - response.mean())[12:]).max() < 0.1 * np.abs(np.fft.rfft(response)).max()


def test_a_field_that_drifts_turns_spokes_as_off_resonance_does():
    phantom, maps, sequence = random_phantom(), random_sensitivities(), short_sequence()
    readout = radial_readout(27, 20, 10, 1, 20.0)
    drift = np.linspace(0, 40, 27)
    turned = acquire(phantom, maps, sequence, readout) * drift_phase(drift, sequence.te_ms, readout.time_ms)
    for j in (0, 13, 26):
        off = replace(phantom, deltaf=phantom.deltaf + np.float32(drift[j]))
        expected = direct_sum(off, maps, sequence, readout.k, readout.time_ms)[:, j]
        np.testing.assert_allclose(turned[:, j], expected, rtol=0, atol=2e-4 * np.abs(expected).max())


def test_spikes_hit_their_share_of_the_spokes_once_each():
    rng = np.random.default_rng(2)
    kspace = (rng.standard_normal((3, 2000, 11)) + 0j).astype(np.complex64)
    changed = corrupt(kspace, 0.1, np.random.default_rng(0)) != kspace
    per_spoke = changed.sum(-1)
    assert set(np.unique(per_spoke)) == {0, 1}
    assert np.all(per_spoke == per_spoke[0])  # all coils together
    assert per_spoke[0].mean() == pytest.approx(0.1, abs=0.02)


def test_readouts_that_get_lost_or_come_twice():
    arrived = lose_and_repeat(20000, 0.1, 0.05, np.random.default_rng(0))
    times = np.bincount(arrived, minlength=20000)
    assert np.all(np.diff(arrived) >= 0)
    assert np.mean(times == 0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(times == 2) == pytest.approx(0.9 * 0.05, abs=0.01)
    assert np.array_equal(lose_and_repeat(50, 0, 0, np.random.default_rng(0)), np.arange(50))


@pytest.mark.parametrize("shift", [(2, -3), (0, 4), (-1, 0), (0, 0)])
def test_a_moved_patient_takes_tissue_and_field_along_but_not_b1(shift):
    phantom = random_phantom()
    moved = move(phantom, shift)
    ny, nx = SHAPE
    for y, x in ((8, 9), (10, 12)):
        for name in ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "label"):
            assert getattr(moved, name)[y + shift[0], x + shift[1]] == getattr(phantom, name)[y, x]
    assert np.array_equal(moved.b1, phantom.b1)
    assert np.count_nonzero(moved.label) == (ny - abs(shift[0])) * (nx - abs(shift[1]))
