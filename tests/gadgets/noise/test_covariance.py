import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.gadgets.noise.covariance import (
    LEAST_EIGENVALUE,
    concentration,
    noise_scale,
    regularised,
    whitening_matrix,
)


def test_noise_is_scaled_by_dwell_time_and_bandwidth():
    assert noise_scale(2.0, 4.0, 1.0) == 2.0  # half the dwell time, twice the bandwidth, twice the variance
    assert noise_scale(2.0, 2.0, 0.8) == pytest.approx(1.25)
    assert noise_scale(0.0, 2.0, 0.8) == 1.0
    matrix = whitening_matrix(np.diag([2.0, 8.0]).astype(complex))
    np.testing.assert_allclose(np.abs(np.diag(matrix)), [1 / np.sqrt(2), 1 / np.sqrt(8)], rtol=1e-6)


def test_a_twentieth_of_white_noise_holds_a_fifth_of_its_energy(rng):
    # power is exponentially distributed: the part above its 95 % quantile q = ln 20 is (1 + q) / 20
    assert concentration(complex_normal(rng, 1, 400000)) == pytest.approx((1 + np.log(20)) / 20, abs=0.002)
    spike = np.ones((2, 100), complex)
    spike[1, 7] = 1000
    assert concentration(spike) > 0.999
    assert concentration(np.zeros((2, 100), complex)) == 0


def test_a_good_covariance_keeps_its_bits(rng):
    noise = complex_normal(rng, 4, 1000).astype(complex) * np.array([1e-9, 1, 1e3, 1e9])[:, None]
    covariance = noise @ noise.conj().T  # coils that are only scaled are independent
    same, alike = regularised(covariance)
    assert same is covariance
    assert alike == []


def test_channels_with_the_same_noise_are_found_and_regularised(rng):
    noise = complex_normal(rng, 5, 1000).astype(complex)
    noise[3] = 1e4 * noise[1]
    covariance, alike = regularised(noise @ noise.conj().T / 1000)
    assert alike == [1, 3]
    deviation = np.sqrt(np.diag(covariance).real)
    eigenvalues = np.linalg.eigvalsh(covariance / np.outer(deviation, deviation))
    assert eigenvalues[0] == pytest.approx(LEAST_EIGENVALUE, rel=1e-3)
    assert np.isfinite(whitening_matrix(covariance)).all()
