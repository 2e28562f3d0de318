"""Every matcher of one pool against a comparison with all atoms that it is meant to make, in double precision."""

import numpy as np
import pytest
import torch
from small_scan import complex_normal, relaxation_dictionary

from spokestream.errors import InputError
from spokestream.gadgets.matching import groups as groups_file
from spokestream.gadgets.matching.atom_groups import atom_groups
from spokestream.gadgets.matching.groups import KEPT_GROUPS, GroupedAtoms
from spokestream.gadgets.matching.inner_product import AllAtoms
from spokestream.gadgets.matching.matcher_names import MATCHERS
from spokestream.gadgets.matching.matchers import (
    ONE_POOL,
    TWO_POOLS,
    check_matcher,
    make_matcher,
    match_slice,
    on_device,
)
from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.matching.spatiotemporal import SpatiotemporalAtoms
from spokestream.gadgets.matching.svd import KEPT_ENERGY
from spokestream.gadgets.scan.cancellation import Cancellation, CancelledScanError
from spokestream.simulator.physics.dictionaries.one_pool import ATOM, OnePoolDictionary
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis

SPOKES = 60
T1_MS, T2_MS = np.geomspace(200, 4000, 60), np.geomspace(10, 190, 40)


@pytest.fixture(scope="module")
def dictionary():
    return relaxation_dictionary(T1_MS, T2_MS)


@pytest.fixture(scope="module")
def turning(dictionary):
    """The dictionary with a phase along the train that differs between atoms, as off-resonance gives."""
    rates = np.random.default_rng(4).uniform(-1, 1, (len(dictionary.atoms), 1))
    atoms = dictionary.atoms * np.exp(1j * rates * np.linspace(0, 1, SPOKES))
    return OnePoolDictionary(dictionary.sequence, dictionary.parameters, atoms)


@pytest.fixture(scope="module")
def basis():
    noise = np.random.default_rng(2).uniform(0.5, 2, SPOKES).astype(np.float32)
    return TemporalBasis(np.eye(SPOKES, dtype=np.float32), np.full(SPOKES, 2.0), 1, noise)


@pytest.fixture(params=["real", "complex"])
def either(request, dictionary, turning):
    return dictionary if request.param == "real" else turning


def voxels(dictionary, n, level, seed=7):
    """Voxels of random atoms with random phases and noise of a norm `level` times theirs."""
    rng = np.random.default_rng(seed)
    chosen = dictionary.atoms[rng.integers(0, len(dictionary.atoms), n)]
    noise = complex_normal(rng, n, SPOKES)
    scale = level * np.linalg.norm(chosen, axis=1) / np.linalg.norm(noise, axis=1)
    return torch.from_numpy(
        (chosen * np.exp(2j * np.pi * rng.random((n, 1))) + scale[:, None] * noise).astype(np.complex64)
    )


def of_norm_1(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def products(y, dictionary, basis):
    """The normalised inner products (voxels, atoms), double precision."""
    unit, white = of_norm_1(dictionary.atoms / basis.noise), of_norm_1(y.numpy().astype(complex) / basis.noise)
    return np.abs(white @ unit.conj().T), white, unit


@pytest.mark.parametrize("level", [0.01, 0.3, 3.0])
def test_inner_product_is_a_comparison_with_all_atoms(either, basis, level):
    y = voxels(either, 500, level)
    all_products, _, _ = products(y, either, basis)
    found = AllAtoms(either, basis).match(y, threads=2)
    np.testing.assert_array_equal(found.index[ATOM], all_products.argmax(1))
    np.testing.assert_allclose(found.correlation, all_products.max(1), rtol=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("level", [0.01, 0.3, 3.0])
def test_a_cuda_device_finds_what_the_cpu_finds(either, basis, level):
    y = voxels(either, 3000, level)
    expected, matcher = OnePoolAtoms(either, basis).match(y), make_matcher("exact", either, basis, "cuda")
    assert isinstance(matcher, AllAtoms)
    np.testing.assert_array_equal(matcher.match(y).index[ATOM], expected.index[ATOM])


def test_only_the_exact_matcher_and_its_quick_form_run_on_a_device():
    assert on_device("exact", "cuda")
    assert on_device("promising", "cuda")
    assert not on_device("svd", "cuda")
    assert not on_device("exact", "cpu")


def test_svd_is_a_comparison_in_the_leading_singular_vectors(either, basis):
    y = voxels(either, 500, 0.1)
    all_products, white, unit = products(y, either, basis)
    _, strength, vectors = np.linalg.svd(unit, full_matrices=False)
    energy = np.cumsum(strength**2) / np.sum(strength**2)
    rank = int((energy < KEPT_ENERGY).sum()) + 1
    assert rank < 20  # of 60 time points
    projected = np.abs((white @ vectors[:rank].conj().T) @ of_norm_1(unit @ vectors[:rank].conj().T).conj().T)
    found = make_matcher("svd", either, basis).match(y, threads=2)
    row = np.arange(len(y))
    # single precision decides between atoms whose products differ by less than its rounding errors
    np.testing.assert_allclose(projected[row, found.index[ATOM]], projected.max(1), rtol=1e-6)
    # proton density and correlation are those of the whole signals
    np.testing.assert_allclose(found.correlation, all_products[row, found.index[ATOM]], rtol=1e-9)
    assert (found.index[ATOM] != all_products.argmax(1)).any()


def test_groups_are_a_comparison_with_the_atoms_of_the_most_similar_groups(either, basis, monkeypatch):
    monkeypatch.setattr("spokestream.gadgets.matching.atom_groups.LARGEST_GROUP", 32)
    y = voxels(either, 500, 0.3)
    all_products, white, unit = products(y, either, basis)
    members = atom_groups(unit).members
    assert sorted(np.concatenate(members)) == list(range(len(unit)))
    assert len(members) > 10 * KEPT_GROUPS
    similar = np.abs(white @ of_norm_1(np.stack([unit[group].mean(0) for group in members])).conj().T)
    kept = similar.argsort(1)[:, -KEPT_GROUPS:]
    searched = [np.concatenate([members[g] for g in groups]) for groups in kept]
    expected = [atoms[all_products[i, atoms].argmax()] for i, atoms in enumerate(searched)]
    found = make_matcher("groups", either, basis).match(y, threads=2)
    np.testing.assert_array_equal(found.index[ATOM], expected)
    best = all_products.max(1)
    assert (found.correlation <= best * (1 + 1e-12)).all()
    assert (found.correlation < best * (1 - 1e-9)).any()


def test_if_all_groups_are_kept_the_search_is_exact(dictionary, basis, monkeypatch):
    monkeypatch.setattr(groups_file, "KEPT_GROUPS", 10**6)
    y = voxels(dictionary, 300, 0.3)
    found, exact = (make_matcher(name, dictionary, basis).match(y) for name in ("groups", "exact"))
    np.testing.assert_array_equal(found.index[ATOM], exact.index[ATOM])
    np.testing.assert_array_equal(found.rho, exact.rho)


def halves(dictionary, level, seed=11):
    """A disc whose halves hold two tissues: its mask, the atom of every voxel, and noisy voxels."""
    y, x = np.mgrid[:29, :31]
    mask = np.hypot(y - 14, x - 15) < 13
    atom = np.where(x < 15, 25 * len(T2_MS) + 20, 33 * len(T2_MS) + 24)[mask]
    noise = complex_normal(np.random.default_rng(seed), mask.sum(), SPOKES)
    scale = level * np.linalg.norm(dictionary.atoms[atom], axis=1) / np.linalg.norm(noise, axis=1)
    return mask, atom, torch.from_numpy((dictionary.atoms[atom] + scale[:, None] * noise).astype(np.complex64))


def test_patches_without_noise_change_nothing_not_even_at_an_edge(dictionary, basis):
    mask, atom, y = halves(dictionary, 0)
    found = SpatiotemporalAtoms(dictionary, basis).match_slice(y, mask, threads=2)
    np.testing.assert_array_equal(found.index[ATOM], atom)
    np.testing.assert_allclose(found.rho, 1, rtol=1e-5)


def test_patches_reduce_noise(dictionary, basis):
    """The weighted mean of five atoms with independent errors is better than that of two with equal weights.

    Two have 1 / sqrt(2) of the error of one, and five with equal weights would have 1 / sqrt(5).
    """
    mask, atom, y = halves(dictionary, 0.1)
    matcher = SpatiotemporalAtoms(dictionary, basis)
    patches, single = matcher.match_slice(y, mask), matcher.match(y)
    for values in dictionary.parameters.values():
        error, before = (
            np.sqrt(np.mean(np.log(values[match.index[ATOM]] / values[atom]) ** 2)) for match in (patches, single)
        )
        assert error < before / np.sqrt(2)
    assert (patches.correlation <= single.correlation * (1 + 1e-12)).all()


def test_patches_do_not_depend_on_threads_and_can_be_cancelled(turning, basis):
    mask, _, y = halves(turning, 0.3)
    matcher = SpatiotemporalAtoms(turning, basis)
    one, two = (matcher.match_slice(y, mask, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.rho, two.rho)
    sign = Cancellation()
    sign.cancel()
    with pytest.raises(CancelledScanError):
        matcher.match_slice(y, mask, cancellation=sign)


@pytest.mark.parametrize("name", [name for name in ONE_POOL if name != "exact"])
def test_a_voxel_alone_and_one_without_signal(dictionary, basis, name):
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[3, 3] = True
    y = torch.from_numpy(np.stack([2 * dictionary.atoms[700], 0 * dictionary.atoms[0]]).astype(np.complex64))
    matcher = make_matcher(name, dictionary, basis)
    found = match_slice(matcher, y, mask)
    assert found.index[ATOM][0] == 700
    np.testing.assert_allclose(found.rho, [2, 0], rtol=1e-5)
    np.testing.assert_allclose(found.correlation, [1, 0], atol=1e-6)


@pytest.mark.parametrize("name", ONE_POOL)
def test_no_voxel_at_all(dictionary, basis, name):
    matcher, y = make_matcher(name, dictionary, basis), torch.zeros((0, SPOKES), dtype=torch.complex64)
    nothing = np.zeros((4, 4), bool)
    found = match_slice(matcher, y, nothing)
    assert found.rho.shape == (0,)


@pytest.mark.parametrize("kind", [OnePoolAtoms, AllAtoms, GroupedAtoms])
def test_voxels_without_signal_are_compared_with_no_atom(dictionary, basis, kind):
    """All atoms would be equally good, and a slice of zeros would fill the memory with them."""
    _, atoms = kind(dictionary, basis)._candidates(torch.zeros((5, SPOKES), dtype=torch.complex64))
    assert not len(atoms)


@pytest.mark.parametrize("name", ["exact", "inner-product", "svd", "groups"])
def test_the_result_does_not_depend_on_threads_and_a_search_can_be_cancelled(dictionary, basis, name):
    y = voxels(dictionary, 300, 0.3)
    matcher = make_matcher(name, dictionary, basis)
    np.testing.assert_array_equal(matcher.match(y, 1).rho, matcher.match(y, 2).rho)
    sign = Cancellation()
    sign.cancel()
    with pytest.raises(CancelledScanError):
        matcher.match(y, cancellation=sign)


def test_a_matcher_that_cannot_serve_the_pools_is_refused_with_those_that_can(dictionary):
    two_pools = build_dictionary(load_sequence("t1ff-2d-1400"), Grid(*(np.array([axis]) for axis in (900, 300, 1, 0))))
    with pytest.raises(
        InputError, match="'svd' cannot search a dictionary of two pools; choose one of exact, promising, clusters"
    ):
        check_matcher("svd", two_pools)
    one = "exact, inner-product, svd, groups, spatiotemporal"
    with pytest.raises(InputError, match=f"'clusters' cannot search a dictionary of one pool; choose one of {one}"):
        check_matcher("clusters", dictionary)
    assert {*MATCHERS} == {*ONE_POOL, *TWO_POOLS}
