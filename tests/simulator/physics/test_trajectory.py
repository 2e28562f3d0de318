"""Golden-angle spokes and spiral arms, the raster of an echo-planar image, and the areas of rings."""

import numpy as np
import pytest

from spokestream.simulator.physics.trajectory import (
    GOLDEN_ANGLE_DEG,
    epi_raster,
    golden_angles,
    radial_spokes,
    ring_areas,
    spiral_arms,
)


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


@pytest.mark.parametrize(("n_samples", "matrix", "oversampling"), [(536, 128, 2.0), (96, 48, 2.0), (640, 21, 1.5)])
def test_the_samples_of_a_spiral_are_evenly_spaced_from_the_centre_to_the_edge(n_samples, matrix, oversampling):
    k = spiral_arms(golden_angles(np.arange(3)), n_samples, matrix, oversampling)
    steps = np.linalg.norm(np.diff(k, axis=1), axis=-1)  # chords, slightly shorter than arcs where the arm is curved
    np.testing.assert_allclose(steps[:, 10:], 1 / oversampling, rtol=0.02)
    radius = np.linalg.norm(k, axis=-1)
    np.testing.assert_allclose(radius[:, [0, -1]], [[0, matrix / 2]] * 3, atol=1e-12)
    turn = np.unwrap(np.arctan2(k[0, 1:, 1], k[0, 1:, 0])) / radius[0, 1:]
    np.testing.assert_allclose(turn, turn[-1])  # Archimedean: the angle is proportional to the radius
    direction = np.deg2rad(111.246117975)
    rotation = np.array([[np.cos(direction), np.sin(direction)], [-np.sin(direction), np.cos(direction)]])
    np.testing.assert_allclose(k[1], k[0] @ rotation, atol=1e-9)


def test_too_few_samples_for_a_spiral_make_a_straight_arm():
    k = spiral_arms(0.0, 10, 100, 2.0)
    np.testing.assert_allclose(k[:, 0], np.linspace(0, 50, 10), atol=1e-3)
    np.testing.assert_allclose(k[:, 1], 0, atol=0.06)


def test_an_echo_planar_image_samples_every_cell_once_and_turns_after_every_line():
    k = epi_raster(4, 6, 1.5)
    lines = k.reshape(4, 6, 2)
    np.testing.assert_array_equal(lines[..., 1], np.repeat([[-2], [-1], [0], [1]], 6, axis=1))
    np.testing.assert_allclose(lines[0, :, 0], np.arange(-3, 3) / 1.5)
    np.testing.assert_allclose(lines[1, :, 0], np.arange(-3, 3)[::-1] / 1.5)
    np.testing.assert_array_equal(lines[2:, :, 0], lines[:2, :, 0])


def test_rings_end_midway_between_samples():
    radius = np.array([0.0, 1.0, 3.0, 4.0])
    edges = np.array([0, 0.5, 2, 3.5, 4.5])
    np.testing.assert_allclose(ring_areas(radius), np.pi * np.diff(edges**2))
    np.testing.assert_allclose(ring_areas(radius[::-1]), np.pi * np.diff(edges**2)[::-1])
    np.testing.assert_allclose(ring_areas(radius + 3), np.pi * np.diff([2.5**2, *(edges[1:] + 3) ** 2]))
