"""Moved spokes: their places, and areas that add up to integrals over k-space."""

import numpy as np
import pytest
from delayed_spokes import OVERSAMPLING, delayed

from spokestream.gadgets.imaging.radial_grid import ramp_density
from spokestream.gadgets.spokes.moved_spokes import moved
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes


@pytest.mark.parametrize("fov_ratio", [1.0, 0.75])
def test_places_are_those_that_are_sampled(fov_ratio):
    delays = np.array([0.4, -0.7, 0.2])
    frames, actual = delayed(delays, n_spokes=16, fov_ratio=fov_ratio)
    for frame in frames:
        k, _ = moved(frame.k, delays, fov_ratio)
        np.testing.assert_allclose(k, actual[frame.indices], rtol=0, atol=2e-5)


def test_equal_delays_leave_the_distance_from_the_centre():
    k = radial_spokes(golden_angles(np.arange(9)), 64, 32.0, 2.0).astype(np.float32)
    places, radii = moved(k, np.array([0.3, 0.3, 0.0]))
    distance = np.hypot(*np.moveaxis(places, -1, 0))
    np.testing.assert_allclose(radii[distance > 0.5], distance[distance > 0.5], rtol=0, atol=1e-5)


def test_without_delays_the_radii_are_those_of_the_ramp():
    k = radial_spokes(golden_angles(np.arange(9)), 64, 32.0, 2.0).astype(np.float32)
    _, radii = moved(k, np.zeros(3))
    np.testing.assert_allclose(ramp_density(k, radii), ramp_density(k), rtol=1e-5)


@pytest.mark.parametrize("delays", [(0.5, -0.5, 0.0), (0.4, 0.1, 0.3), (-1.0, 1.0, 0.0), (0.5, 0.5, 0.0)])
@pytest.mark.parametrize("width", [0.08, 0.15])
def test_areas_add_up_to_the_integral_of_k_space(delays, width):
    """The integral of a Gaussian's k-space is 1 / (2 pi width²). Delays change its sum over the samples by 0.4 %.

    With the distance from k = 0 as radius, unequal delays change it by up to 5 %.
    """
    k = radial_spokes(golden_angles(np.arange(987)), 128, 64.0, OVERSAMPLING).astype(np.float32)
    places, radii = moved(k, np.array(delays))

    def integral(k, area):
        return float((np.exp(-2 * np.pi**2 * width**2 * (k**2).sum(-1)) * area).sum()) * 2 * np.pi * width**2

    unmoved = integral(k, ramp_density(k))
    assert unmoved == pytest.approx(1, abs=0.01)
    change = integral(places, ramp_density(places, radii)) - unmoved
    assert abs(change) < 0.004
    if delays[0] != delays[1]:
        assert integral(places, ramp_density(places)) - unmoved > max(0.003, 3 * abs(change))
