"""Projection onto the dictionary is to the nearest multiples of atoms, and iterations with it find them."""

import numpy as np
import pytest
import torch
from small_scan import relaxation_dictionary

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.restoration.blip import nearest_fingerprints, restore_fingerprints
from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.measurement import InBasis, half_energy
from spokestream.simulator.physics.temporal_basis import TemporalBasis

FRAMES, MATRIX, K = 60, 16, 8


@pytest.fixture(scope="module")
def dictionary():
    return relaxation_dictionary(np.geomspace(300, 3000, 7), np.geomspace(20, 200, 5))


@pytest.fixture(scope="module")
def basis(dictionary):
    vectors = np.linalg.svd(dictionary.atoms, full_matrices=False)[2][:K].T
    return TemporalBasis(vectors.astype(np.float32), np.full(K, 2.0), 1, np.ones(K, np.float32))


@pytest.fixture(scope="module")
def nearest(dictionary, basis):
    return nearest_fingerprints(OnePoolAtoms(dictionary, basis), basis)


@pytest.fixture
def truth(dictionary, basis, rng):
    """Coefficients (K, y, x) of atoms with random densities and phases."""
    atoms = torch.from_numpy(dictionary.in_basis(basis))[rng.integers(0, len(dictionary.coefficients), MATRIX**2)]
    density = rng.uniform(0.5, 1, MATRIX**2) * np.exp(2j * np.pi * rng.random(MATRIX**2))
    return (torch.from_numpy(density) * atoms.T).view(K, MATRIX, MATRIX)


def test_no_multiple_of_another_atom_is_nearer(dictionary, basis, nearest, draw):
    images = draw(K, 5, 4)
    atoms = torch.from_numpy(dictionary.in_basis(basis)).to(images.dtype)
    pixels = images.flatten(1).T
    multiple = (pixels @ atoms.mH) / torch.linalg.vector_norm(atoms, dim=1) ** 2
    distance = torch.linalg.vector_norm(pixels[:, None] - multiple[..., None] * atoms, dim=-1)
    found = torch.linalg.vector_norm((images - nearest(images)).flatten(1), dim=0)
    torch.testing.assert_close(found, distance.amin(1))


def test_fingerprints_stay_what_they_are(nearest, truth):
    torch.testing.assert_close(nearest(truth), truth)


@pytest.fixture
def scan(basis, truth, rng):
    """A measurement of a third of the samples, and the samples."""
    frames = CartesianSampling(torch.from_numpy(rng.random((FRAMES, MATRIX, MATRIX)) < 1 / 3))
    measurement = InBasis(frames, torch.from_numpy(basis.weights))
    return measurement, measurement.forward(truth)


@pytest.mark.parametrize("first_step", [3.0, 24.0])
def test_fingerprints_are_found_from_a_third_of_the_samples(first_step, scan, nearest, truth):
    """A step of 24 is far beyond the longest one that is allowed, and is halved."""
    measurement, samples = scan
    found = restore_fingerprints(measurement, samples, nearest, first_step, 40)
    assert torch.linalg.vector_norm(found - truth) < 1e-6 * torch.linalg.vector_norm(truth)


@pytest.mark.parametrize("first_step", [1.0, 3.0, 24.0])
def test_the_cost_is_half_the_energy_of_the_residual_and_falls(first_step, scan, nearest):
    measurement, samples = scan
    costs = []
    found = restore_fingerprints(measurement, samples, nearest, first_step, 12, lambda n, cost: costs.append(cost))
    assert len(costs) == 12
    assert np.all(np.diff([half_energy(samples), *costs]) < 0)
    assert costs[-1] == pytest.approx(half_energy(measurement.forward(found) - samples), rel=1e-6)


def test_nothing_to_explain_ends_at_once(scan, nearest):
    measurement, samples = scan
    costs = []
    found = restore_fingerprints(measurement, 0 * samples, nearest, 3.0, 12, lambda n, cost: costs.append(cost))
    assert costs == [0.0]
    assert not found.any()


def test_images_with_different_noise_are_a_programming_error(dictionary, basis):
    unequal = TemporalBasis(basis.weights, basis.te_ms, 1, np.arange(1, K + 1, dtype=np.float32))
    with pytest.raises(ValueError, match="different noise"):
        nearest_fingerprints(OnePoolAtoms(dictionary, unequal), unequal)
