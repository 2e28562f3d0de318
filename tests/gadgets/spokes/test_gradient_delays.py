"""Gradient delays: the estimate against objects whose k-space is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from delayed_spokes import OVERSAMPLING, delayed, disc
from small_scan import complex_normal

from spokestream.gadgets.spokes.gradient_delays import estimate_delays

ONE_RUN = np.zeros(1400, np.intp)
DELAYS = [(0.0, 0.0, 0.0), (0.5, -0.5, 0.0), (-0.3, 0.45, 0.1), (0.5, 0.5, 0.0), (1.5, -2.0, 0.2), (-3.0, -3.0, 0.0)]


@pytest.mark.parametrize("delays", DELAYS)
def test_delays_of_recovering_gaussians_are_found(delays):
    frames, _ = delayed(delays, noise=1e-3)
    found = estimate_delays(frames, ONE_RUN)
    np.testing.assert_allclose(found.samples, delays, rtol=0, atol=0.005)
    assert found.misfit < 0.02
    assert found.deviation.max() < 0.005


def test_a_disc_in_one_coil_is_enough():
    frames, _ = delayed((0.4, -0.2, 0.05), n_coils=1, signal=disc, noise=1e-3)
    np.testing.assert_allclose(estimate_delays(frames, ONE_RUN).samples, (0.4, -0.2, 0.05), rtol=0, atol=0.02)


def test_delays_are_in_samples_also_where_the_field_of_view_is_no_square():
    frames, _ = delayed((0.3, -0.4, 0.1), fov_ratio=0.75, noise=1e-3)
    np.testing.assert_allclose(estimate_delays(frames, ONE_RUN, 0.75).samples, (0.3, -0.4, 0.1), rtol=0, atol=0.005)


def test_the_phase_that_eddy_currents_give_to_a_direction_is_no_delay():
    frames, _ = delayed((0.2, -0.1, 0.0), noise=1e-3)
    turned = []
    for frame in frames:
        step = (frame.k[:, 1] - frame.k[:, 0]) * OVERSAMPLING
        phase = np.exp(1j * (0.1 * step[:, 0] - 0.06 * step[:, 1]))
        turned.append(replace(frame, data=(frame.data * phase[:, None]).astype(np.complex64)))
    np.testing.assert_allclose(estimate_delays(turned, ONE_RUN).samples, (0.2, -0.1, 0), rtol=0, atol=0.005)


def test_the_order_of_the_frames_and_lost_spokes_do_not_matter():
    frames, _ = delayed((0.4, -0.3, 0.0), noise=1e-3)
    frames = [
        replace(frame, data=frame.data[:, 1:], k=frame.k[1:], indices=frame.indices[1:]) if frame.frame % 3 else frame
        for frame in frames[::-1]
    ]
    np.testing.assert_allclose(estimate_delays(frames, ONE_RUN).samples, (0.4, -0.3, 0), rtol=0, atol=0.005)


def test_the_scale_of_the_samples_does_not_matter():
    frames, _ = delayed((0.4, -0.3, 0.0), noise=1e-3)
    expected = estimate_delays(frames, ONE_RUN)
    for scale in (2.0**-66, 2.0**66):
        scaled = [replace(frame, data=frame.data * np.float32(scale)) for frame in frames]
        np.testing.assert_allclose(estimate_delays(scaled, ONE_RUN).samples, expected.samples, rtol=0, atol=1e-9)


def test_errors_are_as_large_as_the_standard_deviations_say():
    """Twenty estimates with other noise: the mean square of error over standard deviation is 1 within its own error."""
    ratios = []
    for seed in range(20):
        frames, _ = delayed((0.3, -0.2, 0.0), noise=0.02, seed=seed)
        found = estimate_delays(frames, ONE_RUN)
        ratios.append((found.samples - (0.3, -0.2, 0)) / found.deviation)
    assert 0.5 < np.sqrt(np.mean(np.square(ratios))) < 1.5


def test_noise_gives_no_estimate_that_fits():
    frames, _ = delayed((0.3, -0.2, 0.0), noise=0.02)
    rng = np.random.default_rng(3)
    frames = [replace(frame, data=complex_normal(rng, *frame.data.shape)) for frame in frames]
    assert estimate_delays(frames, ONE_RUN).misfit > 0.5


def test_spokes_of_many_contrasts_or_empty_ones_give_nothing():
    frames, _ = delayed((0.3, -0.2, 0.0))
    assert estimate_delays(frames, np.arange(1400) // 30) is None
    assert estimate_delays([replace(f, data=0 * f.data) for f in frames], ONE_RUN) is None
