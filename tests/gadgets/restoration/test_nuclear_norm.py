"""The soft threshold is the proximal operator, and the iterations end at the minimum, where theory says."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.multi_coil import MultiCoilSampling
from spokestream.gadgets.restoration.nuclear_norm import least_nuclear_norm
from spokestream.gadgets.restoration.singular_values import soft_threshold
from spokestream.simulator.acquisition.receive_coils import receive_array

FRAMES, MATRIX, RANK = 20, 16, 2
FRACTION = 0.5
WEIGHT = 1e-3


def singular_values(images):
    return torch.linalg.svdvals(images.flatten(1))


def product(a, b):
    return float(torch.vdot(a.flatten(), b.flatten()).real)


@pytest.fixture
def truth(draw):
    """(frames, y, x) of rank 2 and norm 1."""
    images = draw(FRAMES, RANK) @ draw(RANK, MATRIX**2)
    return (images / torch.linalg.vector_norm(images)).view(FRAMES, MATRIX, MATRIX)


def random_points(rng):
    return CartesianSampling(torch.from_numpy(rng.random((FRAMES, MATRIX, MATRIX)) < FRACTION))


def anywhere_with_four_coils(rng):
    k = rng.uniform(-MATRIX / 2, MATRIX / 2, (FRAMES, round(FRACTION * MATRIX**2), 2))
    coils = receive_array(4, MATRIX, 200.0)
    return MultiCoilSampling(k, coils / np.linalg.norm(coils, axis=0), torch.complex128)


def is_minimum(measurement, samples, images, weight, tolerance):
    """The conditions for a minimum of the convex cost: the negative gradient is weight times a subgradient.

    A subgradient of the nuclear norm has a spectral norm of at most 1, and its inner product with the images is their
    nuclear norm.
    """
    gradient = measurement.adjoint(samples - measurement.forward(images))
    nuclear = float(singular_values(images).sum())
    assert singular_values(gradient)[0] < weight * (1 + tolerance)
    assert product(gradient, images) == pytest.approx(weight * nuclear, rel=tolerance)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4])
def test_the_soft_threshold_is_the_proximal_operator(threshold, draw):
    images = draw(6, 5, 7) / 10
    result, nuclear = soft_threshold(images, threshold)
    values = singular_values(images)
    assert threshold in (0.0, 0.05) or values[-1] < threshold < values[0]
    assert nuclear == pytest.approx(float(singular_values(result).sum()), rel=1e-9)
    difference = images - result
    assert singular_values(difference)[0] <= threshold + 1e-12
    assert product(difference, result) == pytest.approx(threshold * nuclear, rel=1e-9, abs=1e-12)


def test_a_threshold_above_all_singular_values_leaves_nothing(draw):
    images = draw(6, 5, 7).to(torch.complex64)
    result, nuclear = soft_threshold(images, 1.001 * float(singular_values(images)[0]))
    assert result.dtype == torch.complex64
    assert nuclear == 0
    assert not result.any()


@pytest.mark.parametrize("accelerated", [False, True])
def test_with_all_samples_one_step_is_the_soft_threshold(accelerated, truth):
    measurement = CartesianSampling(torch.ones(truth.shape, dtype=torch.bool))
    found = least_nuclear_norm(measurement, measurement.forward(truth), 0.1, 1, accelerated=accelerated)
    torch.testing.assert_close(found, soft_threshold(truth, 0.1)[0])


def test_the_cost_is_the_one_in_the_text_and_falls_in_every_iteration(truth, rng):
    measurement, costs = random_points(rng), []
    samples = measurement.forward(truth)
    found = least_nuclear_norm(measurement, samples, 0.02, 60, lambda n, cost: costs.append((n, cost)))
    assert [n for n, _ in costs] == list(range(1, 61))
    assert np.all(np.diff([cost for _, cost in costs]) < 0)
    misfit = torch.linalg.vector_norm(measurement.forward(found) - samples) ** 2
    assert costs[-1][1] == pytest.approx(float(misfit / 2 + 0.02 * singular_values(found).sum()), rel=1e-9)


@pytest.mark.parametrize(
    ("sampling", "accelerated", "iterations"),
    [(random_points, False, 3000), (random_points, True, 1000), (anywhere_with_four_coils, True, 300)],
)
def test_a_low_rank_object_with_enough_samples_is_found(sampling, accelerated, iterations, truth, rng):
    """Half as many samples as pixels.

    The cost at the minimum is at most that of the truth. With d the error, and at most 2 r singular values where the
    nuclear norm can fall, |A d|² <= 2 weight sqrt(2 r) |d|; therefore |d| <= 2 weight sqrt(2 r) |d|² / |A d|².
    """
    measurement = sampling(rng)
    samples, weight = measurement.forward(truth), WEIGHT * measurement.largest_eigenvalue
    found = least_nuclear_norm(measurement, samples, weight, iterations, accelerated=accelerated)
    is_minimum(measurement, samples, found, weight, tolerance=1e-4)
    error = found - truth
    seen = float(torch.linalg.vector_norm(measurement.forward(error)) / torch.linalg.vector_norm(error)) ** 2
    assert torch.linalg.vector_norm(error) < 2 * weight * np.sqrt(2 * RANK) / seen * (1 + 1e-6)
    assert torch.linalg.vector_norm(error) < 0.02


def test_both_keep_the_bounds_of_their_theory(truth, rng):
    measurement = random_points(rng)
    samples, plain, fast = measurement.forward(truth), [], []
    at_minimum = least_nuclear_norm(measurement, samples, WEIGHT, 3000, lambda n, cost: plain.append(cost))
    least_nuclear_norm(measurement, samples, WEIGHT, 100, lambda n, cost: fast.append(cost), accelerated=True)
    energy, minimum, n = float(torch.linalg.vector_norm(at_minimum)) ** 2, plain[-1], np.arange(1, 101)
    assert np.all(np.array(plain[:100]) - minimum <= energy / (2 * n))
    assert np.all(np.array(fast) - minimum <= 2 * energy / (n + 1) ** 2)
    assert plain[99] - minimum > 2 * energy / 101**2  # the bound of the acceleration says more
