import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.gadgets.spokes.scale import scale_exponent, scaled


@pytest.mark.parametrize("largest", [1e-5, 1.0, 1e5])
def test_ordinary_samples_are_the_same_array(rng, largest):
    data = complex_normal(rng, 2, 5)
    exponent = scale_exponent(np.full(9, largest, np.float32))
    assert exponent == 0
    assert scaled(data, exponent) is data


@pytest.mark.parametrize("power", [-100, -60, 25, 120])
def test_extreme_samples_come_near_one_and_keep_their_digits(rng, power):
    data = complex_normal(rng, 2, 5)
    extreme = np.ldexp(data.view(np.float32), power).view(np.complex64)
    largest = np.abs(extreme).max(1)
    near_one = scaled(extreme, scale_exponent(largest))
    assert 0.25 <= np.median(np.abs(near_one).max(1)) < 1
    ratio = near_one.view(np.float32) / data.view(np.float32)
    np.testing.assert_array_equal(ratio, ratio[0, 0])


def test_a_spike_does_not_choose_the_scale():
    assert scale_exponent(np.array([1, 2, 1, 1e30, 1], np.float32)) == 0
