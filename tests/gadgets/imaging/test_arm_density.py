"""The density of arms and images: exact sums over their samples give the object back."""

import numpy as np
import pytest

from spokestream.gadgets.imaging.arm_density import density_of_one_readout, density_of_rotations, raster_steps
from spokestream.simulator.physics.trajectory import epi_raster, golden_angles, spiral_arms

N = 32
ARMS = 144
"""Golden-angle arms, more than enough for 32 pixels; a Fibonacci number covers all angles most evenly."""
SD = 2.5
"""Radius of the blob, in pixels: its k-space falls to 1e-5 at the edge of k-space."""


def inside_out():
    return spiral_arms(0.0, 100, N, 2.0)


def in_and_out():
    """From the edge to k = 0, and out again on the other side."""
    return np.concatenate([spiral_arms(np.pi, 60, N, 2.0)[::-1][:-1], inside_out()])


def bent_and_uneven():
    """A spoke that is sampled more densely near k = 0, and is bent."""
    t = np.linspace(-1, 1, 129)
    return np.stack([N / 2 * np.sign(t) * np.abs(t) ** 1.3, 1.5 * np.sin(4 * t)], axis=-1)


def with_dead_time_and_rewinder():
    """A spiral that starts late, and is followed back to k = 0 while its gradient is undone."""
    spiral = inside_out()
    return np.concatenate([np.zeros((6, 2)), spiral, spiral[-1] * np.linspace(0.95, 0, 20)[:, None]])


SHAPES = [inside_out, in_and_out, bent_and_uneven, with_dead_time_and_rewinder]


def rotated(k, angles):
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.stack([cos * k[:, 0] - sin * k[:, 1], sin * k[:, 0] + cos * k[:, 1]], axis=-1)


def image_of_blob(k, area):
    """The exact adjoint of the analytic k-space of a Gaussian blob: (y, x), the blob has the height 1."""
    pixel = np.arange(N) - N // 2
    spectrum = 2 * np.pi * (SD / N) ** 2 * np.exp(-2 * (np.pi * SD / N) ** 2 * (k**2).sum(-1)) * area
    along_y = np.exp(2j * np.pi * np.outer(pixel, k[:, 1]) / N)
    along_x = np.exp(2j * np.pi * np.outer(pixel, k[:, 0]) / N)
    return (along_y * spectrum) @ along_x.T


def blob():
    pixel = np.arange(N) - N // 2
    return np.exp(-(pixel[:, None] ** 2 + pixel**2) / (2 * SD**2))


@pytest.mark.parametrize("arm", SHAPES)
def test_rotations_of_an_arm_give_the_object_back(arm):
    k = rotated(arm(), golden_angles(np.arange(ARMS))).reshape(-1, 2)
    area = np.tile(density_of_rotations(arm()) / ARMS, ARMS)
    assert np.abs(image_of_blob(k, area) - blob()).max() < 0.015


@pytest.mark.parametrize("arm", SHAPES)
def test_areas_add_up_to_that_of_the_covered_disc(arm):
    radius = np.hypot(*arm().T).max()
    # samples at the rim also represent what lies within the width of the kernel beyond it
    low, high = np.pi * radius**2, np.pi * (radius + 0.75) ** 2
    assert low < density_of_rotations(arm()).sum() < high


def test_iteration_and_rings_agree():
    rings = density_of_rotations(inside_out())
    nudged = inside_out()
    nudged[1] = 0  # the radius does not grow there, so that there are no rings
    interior = slice(8, 60)  # in cycles per field of view, from 4 to 11 of 16
    np.testing.assert_allclose(density_of_rotations(nudged)[interior], rings[interior], rtol=0.03)


def test_an_arm_that_is_played_backwards_has_the_same_areas():
    np.testing.assert_allclose(density_of_rotations(inside_out()[::-1]), density_of_rotations(inside_out())[::-1])


def test_a_single_spiral_that_covers_k_space_gives_the_object_back():
    k = spiral_arms(0.3, 2200, N, 2.0)  # 1,100 cycles long: lines are 0.7 cycles apart
    assert np.abs(image_of_blob(k, density_of_one_readout(k, (N, N))) - blob()).max() < 0.01


def test_the_samples_of_a_raster_have_equal_areas():
    k = epi_raster(N, 2 * N, 2.0)
    np.testing.assert_allclose(density_of_one_readout(k, (N, N)), 0.5, rtol=1e-4)
    assert np.abs(image_of_blob(k, np.full(len(k), 0.5)) - blob()).max() < 1e-4


def test_a_raster_is_found_in_any_order_and_with_rounding(rng):
    k = rng.permutation(epi_raster(N, 48, 1.5)) + rng.uniform(-1e-3, 1e-3, (48 * N, 2))
    assert raster_steps(k) == pytest.approx((1 / 1.5, 1.0), rel=1e-3)


@pytest.mark.parametrize(
    "k",
    [
        inside_out(),
        epi_raster(N, 48, 1.5)[:-1],
        epi_raster(N, 48, 1.5)[np.r_[0, 0 : 48 * N - 1]],
        epi_raster(N, 48, 1.5) * np.array([1, 1]) + np.array([0, 0.3]) * (np.arange(48 * N)[:, None] > 700),
    ],
    ids=["spiral", "one sample short", "one sample twice", "uneven lines"],
)
def test_other_shapes_are_no_raster(k):
    assert raster_steps(k) is None
