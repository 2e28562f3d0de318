import numpy as np
import pytest
from scipy.special import jv

from spokestream.gadgets.imaging.readout_phase import ORDER, phase_coefficients, polynomials


@pytest.mark.parametrize("theta", [0.0, 0.3, -1.0, 1.5])
def test_the_sum_of_polynomials_is_the_phase_up_to_the_terms_that_it_leaves_out(theta):
    half_readout_s = 7e-4
    u = np.linspace(-1, 1, 41)
    factors = phase_coefficients(theta / (2 * np.pi * half_readout_s), half_readout_s)
    error = np.abs(np.tensordot(factors, polynomials(u), 1) - np.exp(-1j * theta * u)).max()
    assert error <= 2 * sum(abs(jv(m, theta)) for m in range(ORDER + 1, 12)) + 1e-6


def test_without_a_time_there_is_no_phase():
    np.testing.assert_array_equal(phase_coefficients([-200.0, 60.0], 0.0), [[1, 1], *[[0, 0]] * ORDER])
