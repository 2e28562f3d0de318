"""Golden-angle spokes."""

import numpy as np
import pytest

from spokestream.simulator.physics.trajectory import GOLDEN_ANGLE_DEG, golden_angles, radial_spokes


def test_the_golden_angle():
    assert pytest.approx(111.246117975, abs=1e-9) == GOLDEN_ANGLE_DEG
    np.testing.assert_allclose(np.rad2deg(golden_angles([0, 1, 7])), np.array([0, 1, 7]) * 111.246117975)


def test_spokes_pass_through_the_centre_at_center_sample():
    k = radial_spokes(golden_angles(np.arange(3)), n_samples=11, center_sample=4, oversampling=2)
    assert k.shape == (3, 11, 2)
    np.testing.assert_allclose(k[:, 4], 0, atol=1e-15)
    np.testing.assert_allclose(k[0, :, 0], (np.arange(11) - 4) / 2)  # the first spoke runs along +x
    np.testing.assert_allclose(k[0, :, 1], 0, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(np.diff(k, axis=1), axis=-1), 0.5)
    direction = np.deg2rad(111.246117975)
    np.testing.assert_allclose(k[1, -1], 3 * np.array([np.cos(direction), np.sin(direction)]))


def test_a_fractional_centre_leaves_no_sample_at_zero():
    k = radial_spokes(0.3, n_samples=4, center_sample=1.5, oversampling=1)
    np.testing.assert_allclose(np.linalg.norm(k, axis=-1), [1.5, 0.5, 0.5, 1.5])


@pytest.mark.parametrize("n", [8, 13, 21, 55])
def test_gaps_between_neighbouring_spokes_take_few_sizes(n):
    """Golden ordering covers the half circle almost evenly: two gaps for a Fibonacci number of spokes."""
    angles = np.sort(np.rad2deg(golden_angles(np.arange(n))) % 180)
    gaps = np.diff(np.append(angles, angles[0] + 180))
    assert gaps.max() / gaps.min() < 2.7
    assert len(np.unique(np.round(gaps, 6))) == 2
