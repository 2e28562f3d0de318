"""The search near the best light mixture, against the exact search of grids on which the two must agree."""

import numpy as np
import pytest
import torch

from spokestream.errors import InputError
from spokestream.gadgets.matching import clusters
from spokestream.gadgets.matching.clusters import LIGHT, MOSTLY_FAT, WIDTH, ClusteredAtoms
from spokestream.gadgets.matching.matchers import check_matcher
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms
from spokestream.gadgets.scan.cancellation import Cancellation, CancelledScanError
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_means

FIELDS = {"b1": "b1", "deltaf": "deltaf_hz", "t1h2o": "t1h2o_ms", "t1fat": "t1fat_ms"}


@pytest.fixture(scope="module")
def dictionary():
    return build_dictionary(load_sequence("t1ff-2d-1400"))


@pytest.fixture(scope="module")
def basis(dictionary):
    return compressed_basis(dictionary.sequence, dictionary.atoms)


@pytest.fixture(scope="module")
def voxels(dictionary, basis):
    """Random mixtures between the values of the grid, with noise of 0.1 of the mean frame."""
    rng, n = np.random.default_rng(21), 400
    tissue = (rng.uniform(0, 1, n), rng.uniform(700, 1900, n), rng.uniform(240, 390, n))
    signal = voxel_signal(dictionary.sequence, *tissue, rng.uniform(-115, 115, n), rng.uniform(0.35, 1, n))
    frames = frame_means(signal * np.exp(2j * np.pi * rng.random((n, 1))), 8)
    noise = rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape)
    return torch.from_numpy(((frames + 0.1 * np.abs(frames).mean() * noise) @ basis.weights).astype(np.complex64))


def light_dictionary(dictionary):
    """The light values that are on the grid, as a dictionary of its own."""
    axes = dictionary.axes
    nearest = {name: axes[name][np.unique([np.abs(axes[name] - v).argmin() for v in LIGHT[name]])] for name in LIGHT}
    return build_dictionary(dictionary.sequence, Grid(**{FIELDS[name]: axis for name, axis in nearest.items()}))


def test_the_light_values_are_on_the_published_grid_but_for_fifteen_hertz(dictionary):
    light = light_dictionary(dictionary).axes
    for name, axis in light.items():
        off = np.abs(axis - np.array(LIGHT[name])).max()
        assert off <= (5 if name == "deltaf" else 1e-9), name


def test_the_result_is_the_best_near_the_best_light_mixture(dictionary, basis, voxels):
    found = ClusteredAtoms(dictionary, basis).match(voxels, threads=2)
    small = light_dictionary(dictionary)
    light, exact = (TwoPoolAtoms(d, basis).match(voxels) for d in (small, dictionary))
    near = np.ones(len(voxels), bool)  # the exact mixture is so near the light one that it is searched
    for name, axis in dictionary.axes.items():
        start = small.axes[name][light.index[name]]
        width = WIDTH[name] + 1e-9
        searched = (np.abs(axis[found.index[name]] - start) <= width) | (
            (name == "t1h2o") & (light.fraction >= MOSTLY_FAT)
        )
        assert searched.all(), name
        near &= (np.abs(axis[exact.index[name]] - start) <= width) | (
            (name == "t1h2o") & (light.fraction >= MOSTLY_FAT)
        )
    assert near.sum() > 200
    assert (~near).sum() > 10
    # single precision decides between mixtures whose energies differ by less than its rounding errors
    np.testing.assert_allclose(found.correlation[near], exact.correlation[near], rtol=1e-6)
    assert (found.correlation <= exact.correlation * (1 + 1e-12)).all()
    assert (found.correlation >= light.correlation * (1 - 1e-6)).all()
    assert (found.correlation[~near] < exact.correlation[~near]).all()


def test_values_of_the_grid_are_found_exactly_without_noise(dictionary, basis):
    signal = 3 * np.exp(0.4j) * voxel_signal(dictionary.sequence, [0.3, 0.6], [1230.0, 820.0], 325.0, 20.0, 0.75)
    y = torch.from_numpy((frame_means(signal, 8) @ basis.weights).astype(np.complex64))
    found = ClusteredAtoms(dictionary, basis).match(y)
    values = dictionary.values(found)
    np.testing.assert_allclose(values["ff"], [0.3, 0.6], atol=1e-4)
    np.testing.assert_array_equal(values["t1h2o"], [1230, 820])
    np.testing.assert_allclose([values[name][0] for name in ("t1fat", "deltaf", "b1")], [325, 20, 0.75])
    np.testing.assert_allclose(found.rho, 3 * np.exp(0.4j), rtol=1e-3)


def test_threads_change_nothing_and_a_search_can_be_cancelled(dictionary, basis, voxels, monkeypatch):
    monkeypatch.setattr(clusters, "CHUNK", 100)
    matcher = ClusteredAtoms(dictionary, basis)
    np.testing.assert_array_equal(matcher.match(voxels, 1).rho, matcher.match(voxels, 2).rho)
    sign = Cancellation()
    sign.cancel()
    with pytest.raises(CancelledScanError):
        matcher.match(voxels, cancellation=sign)


def test_no_signal_and_values_that_are_not_finite(dictionary, basis):
    matcher = ClusteredAtoms(dictionary, basis)
    y = torch.zeros((2, len(basis.te_ms)), dtype=torch.complex64)
    assert not matcher.match(y).correlation.any()
    y[1, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        matcher.match(y)


def test_a_grid_that_the_light_dictionary_does_not_reach_is_refused(dictionary):
    check_matcher("clusters", dictionary)
    axes = {FIELDS[name]: axis for name, axis in dictionary.axes.items()}
    wide = Grid(**axes | {"b1": np.linspace(0.3, 1.5, 13)})
    with pytest.raises(
        InputError, match=r"'clusters' would not search b1 = 1\.3 of the dictionary; use the matcher 'exact'"
    ):
        check_matcher("clusters", build_dictionary(dictionary.sequence, wide))


def test_no_voxel_at_all(dictionary, basis):
    found = ClusteredAtoms(dictionary, basis).match(torch.zeros((0, len(basis.te_ms)), dtype=torch.complex64))
    assert found.rho.shape == (0,)
