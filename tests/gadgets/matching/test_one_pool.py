"""The search with bounds finds what a comparison with all atoms finds."""

from functools import partial

import numpy as np
import pytest
import torch
from small_scan import complex_normal, relaxation_dictionary

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.matching.unit_atoms import energies, times
from spokestream.simulator.physics.dictionaries.one_pool import ATOM, OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

SPOKES = 60
T1_MS, T2_MS = np.geomspace(200, 4000, 47), np.geomspace(10, 190, 31)


@pytest.fixture(scope="module")
def dictionary():
    return relaxation_dictionary(T1_MS, T2_MS)


@pytest.fixture(scope="module")
def basis():
    rng = np.random.default_rng(2)
    noise = rng.uniform(0.5, 2, SPOKES).astype(np.float32)
    return TemporalBasis(np.eye(SPOKES, dtype=np.float32), np.full(SPOKES, 2.0), 1, noise)


def compared_with_all(y, atoms, noise):
    """The number of the best atom, the first of equal ones, and its correlation."""
    unit = atoms / noise / np.linalg.norm(atoms / noise, axis=1, keepdims=True)
    white = y.numpy().astype(complex) / noise
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    product = np.abs(white @ unit.conj().T)
    return product.argmax(1), product.max(1)


def noisy(rng, atoms, n, level):
    """Voxels of random atoms with random phases and noise of a norm `level` times theirs."""
    chosen = atoms[rng.integers(0, len(atoms), n)]
    noise = complex_normal(rng, n, atoms.shape[1])
    scale = level * np.linalg.norm(chosen, axis=1) / np.linalg.norm(noise, axis=1)
    phase = np.exp(2j * np.pi * rng.random((n, 1)))
    return torch.from_numpy((chosen * phase + scale[:, None] * noise).astype(np.complex64))


@pytest.mark.parametrize("level", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_the_best_atom_is_that_of_a_comparison_with_all(dictionary, basis, level, kind):
    rng = np.random.default_rng(7)
    if kind == "complex":  # a phase along the train that differs between atoms, as off-resonance gives
        turn = np.exp(1j * rng.uniform(-1, 1, (len(dictionary.atoms), 1)) * np.linspace(0, 1, SPOKES))
        dictionary = OnePoolDictionary(dictionary.sequence, dictionary.parameters, dictionary.atoms * turn)
    y = noisy(rng, dictionary.atoms, 700, level)
    found = OnePoolAtoms(dictionary, basis).match(y, threads=2)
    index, correlation = compared_with_all(y, dictionary.atoms, basis.noise)
    np.testing.assert_array_equal(found.index[ATOM], index)
    np.testing.assert_allclose(found.correlation, correlation, rtol=1e-9)


def test_most_groups_are_not_searched(basis, monkeypatch):
    """The bounds exclude most atoms, or the search would be a slow comparison with all."""
    products = []

    def counted(function, y, matrix):
        products.append(len(y) * matrix.shape[1])
        return function(y, matrix)

    for function in (energies, times):
        monkeypatch.setattr(f"spokestream.gadgets.matching.one_pool.{function.__name__}", partial(counted, function))
    fine = relaxation_dictionary(np.geomspace(200, 4000, 160), np.geomspace(10, 190, 100))
    y = noisy(np.random.default_rng(3), fine.atoms, 500, 0.1)
    OnePoolAtoms(fine, basis).match(y)
    assert sum(products) < 0.5 * len(y) * len(fine.atoms)


def test_the_first_of_equal_atoms_is_taken(dictionary, basis):
    twice = {"copy": np.repeat([0.0, 1.0], len(dictionary.atoms))}
    doubled = OnePoolDictionary(dictionary.sequence, twice, np.concatenate([dictionary.atoms] * 2))
    y = noisy(np.random.default_rng(5), dictionary.atoms, 300, 0.2)
    assert not doubled.values(OnePoolAtoms(doubled, basis).match(y))["copy"].any()


def test_a_voxel_without_signal_has_no_proton_density(dictionary, basis):
    found = OnePoolAtoms(dictionary, basis).match(torch.zeros(3, SPOKES, dtype=torch.complex64))
    assert not found.rho.any()
    assert not found.correlation.any()


def test_proton_density_and_phase(dictionary, basis):
    atom = dictionary.atoms[400]
    y = torch.from_numpy((2.5 * np.exp(0.7j) * atom)[None].astype(np.complex64))
    found = OnePoolAtoms(dictionary, basis).match(y)
    assert found.index[ATOM] == 400
    assert found.rho[0] == pytest.approx(2.5 * np.exp(0.7j), rel=1e-6)
    assert found.correlation[0] == pytest.approx(1, abs=1e-9)
