"""The gadget of dictionary matching: its maps, missing frames, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_scan import MATRIX, complex_normal, short_sequence
from toy_tissue import TOY

from spokestream.errors import InputError, ScanError
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.matching.spatiotemporal import SpatiotemporalAtoms
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.pulse_sequence import TRAINS
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_means
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

GRID = Grid(*(np.array(axis) for axis in ([600.0, 900, 1300, 1800], [250.0, 400], [0.5, 0.75, 1], [-20.0, 0, 20])))


@pytest.fixture
def small_dictionary(sequence):
    return build_dictionary(sequence, GRID)


def test_values_of_the_grid_are_found_where_there_is_tissue(scan, sequence, small_dictionary):
    basis = compressed_basis(sequence, small_dictionary.atoms, tolerance=1e-10)
    tissue = {"ff": 0.4, "t1h2o_ms": 1300.0, "t1fat_ms": 400.0, "deltaf_hz": -20.0, "b1": 0.75}
    signal = 7 * np.exp(0.6j) * voxel_signal(sequence, **tissue)
    mask = np.zeros(MATRIX, bool)
    mask[3:9, 4:11] = True
    data = np.zeros((len(basis.te_ms), *MATRIX), np.complex64)
    data[:, mask] = (frame_means(signal, sequence.spokes_per_frame) @ basis.weights)[:, None]
    gadget = DictionaryMatching(scan, WATER_FAT, small_dictionary, "toy.h5")
    (found,) = gadget.feed(Fingerprints(data, basis, mask, 3, NOWHERE))
    expected = {"ff": 0.4, "t1h2o": 1300, "t1fat": 400, "deltaf": -20, "b1": 0.75, "pd": 7, "phase": 0.6}
    for name, value in expected.items():
        np.testing.assert_allclose(found.maps[name][mask], value, rtol=1e-3, err_msg=name)
        assert not found.maps[name][~mask].any()
    np.testing.assert_allclose(found.maps["correlation"][mask], 1, atol=1e-5)
    assert scan.provenance["dictionary"] == f"toy.h5, {small_dictionary.digest}"


def test_atoms_lack_the_frames_that_a_slice_lacks(scan, sequence, small_dictionary):
    basis = compressed_basis(sequence, small_dictionary.atoms, tolerance=1e-10)
    signal = voxel_signal(sequence, 0.2, 900.0, 250.0, 20.0, 1.0)
    lacking = basis.without([0, 4])
    data = (frame_means(signal, sequence.spokes_per_frame) @ lacking.weights).astype(np.complex64)[:, None, None]
    mask = np.ones((1, 1), bool)
    gadget = DictionaryMatching(scan, WATER_FAT, small_dictionary)
    (found,) = gadget.feed(Fingerprints(data, lacking, mask, 0, NOWHERE))
    assert found.maps["t1h2o"][0, 0] == 900
    assert found.maps["correlation"][0, 0] == pytest.approx(1, abs=1e-5)


def with_train(sequence, **changes):
    return replace(sequence, **changes)


def shortened(sequence, n):
    return replace(sequence, **{name: getattr(sequence, name)[:n] for name in TRAINS})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: short_sequence(4), "another sequence than this scan's: spokes_per_frame is 8 against 4"),
        (lambda s: shortened(s, 72), "another sequence than this scan's: 80 spokes against 72"),
        (lambda s: with_train(s, recovery_ms=1.0), "another sequence than this scan's: recovery_ms"),
        (lambda s: with_train(s, flip_angle_deg=1.5 * s.flip_angle_deg), "another sequence than this scan's: flip"),
    ],
)
def test_a_dictionary_of_another_sequence_is_refused(scan, sequence, small_dictionary, change, sentence):
    with pytest.raises(ScanError, match=sentence):
        DictionaryMatching(replace(scan, sequence=change(sequence)), WATER_FAT, small_dictionary)


def test_a_dictionary_of_one_pool_is_refused_where_two_are_needed(scan, sequence):
    axes = {"t1h2o": np.array([900.0]), "b1": np.array([1.0])}
    with pytest.raises(ScanError, match="is over t1h2o, b1; maps of water and fat need one over t1h2o, t1fat"):
        DictionaryMatching(scan, WATER_FAT, OnePoolDictionary(sequence, axes, np.ones((1, len(sequence)))))


def test_a_dictionary_of_another_field_strength_is_refused(scan, small_dictionary):
    weaker = replace(scan, header=replace(scan.header, field_strength_t=1.5))
    with pytest.raises(ScanError, match=r"The dictionary was made for 2\.89 T, not for this scan's 1\.5 T"):
        DictionaryMatching(weaker, WATER_FAT, small_dictionary)


@pytest.mark.parametrize(
    ("sequence", "sentence"),
    [
        (replace(short_sequence(), te_ms=np.full(80, 2.39)), "one echo time, which cannot tell fat"),
        (short_sequence(spokes_per_frame=16), "has 5 frames; 5 maps need 8 at least"),
        (
            replace(short_sequence(4), te_ms=np.repeat(np.linspace(2, 4, 20), 4)),
            "20 echo times; matching takes up to 16",
        ),
    ],
    ids=["one echo time", "few frames", "many echo times"],
)
def test_a_sequence_that_does_not_encode_the_maps_is_refused(scan, sequence, sentence):
    with pytest.raises(ScanError, match=sentence):
        DictionaryMatching(replace(scan, sequence=sequence), WATER_FAT, build_dictionary(sequence, GRID))


def test_a_train_that_is_not_ideally_spoiled_is_refused(scan, small_dictionary):
    spoiled = replace(scan.sequence, spoiling="gradient")
    with pytest.raises(ScanError, match="told apart in ideally spoiled trains; the spoiling of 'short' is gradient"):
        DictionaryMatching(replace(scan, sequence=spoiled), WATER_FAT, replace(small_dictionary, sequence=spoiled))


def test_the_matcher_is_in_the_provenance_and_clusters_of_a_small_grid_are_exact(scan, sequence, small_dictionary):
    """On a grid of few values, every value is near the light mixture, so that clusters search the whole grid."""
    rng = np.random.default_rng(8)
    basis = compressed_basis(sequence, small_dictionary.atoms)
    tissue = (rng.uniform(0, 1, 50), rng.uniform(1000, 1700, 50), 300.0, rng.uniform(-9, 9, 50), 0.8)
    data = (frame_means(voxel_signal(sequence, *tissue), sequence.spokes_per_frame) @ basis.weights).T[:, None]
    grid = Grid(*(np.array(axis) for axis in ([1000.0, 1300], [300.0], [0.8], [-10.0, 0, 10])))
    maps = {}
    for name in ("exact", "clusters"):
        gadget = DictionaryMatching(scan, WATER_FAT, build_dictionary(sequence, grid), matcher=name)
        assert scan.provenance["matcher"] == name
        message = Fingerprints(data.astype(np.complex64), basis, np.ones((1, 50), bool), 0, NOWHERE)
        (found,) = gadget.feed(message)
        maps[name] = found.maps
    for name, values in maps["exact"].items():
        np.testing.assert_allclose(maps["clusters"][name], values, rtol=1e-6, err_msg=name)


def test_patches_are_those_of_the_slice(scan, sequence, rng):
    dictionary = TOY.dictionary(sequence)
    basis = compressed_basis(sequence, dictionary.atoms)
    mask = np.hypot(*np.mgrid[-11:12, -9:10]) < 8
    noise = 0.5 * np.linalg.norm(basis.project(dictionary.atoms[20])) / len(basis.te_ms) ** 0.5
    data = noise * complex_normal(rng, len(basis.te_ms), *MATRIX) + basis.project(dictionary.atoms[20])[:, None, None]
    data = data.astype(np.complex64)
    gadget = DictionaryMatching(scan, TOY, dictionary, matcher="spatiotemporal")
    (found,) = gadget.feed(Fingerprints(data, basis, mask, 0, NOWHERE))
    matcher, y = SpatiotemporalAtoms(dictionary, basis), torch.from_numpy(np.ascontiguousarray(data[:, mask].T))
    expected = dictionary.values(matcher.match_slice(y, mask))["toy_t1"]
    np.testing.assert_array_equal(found.maps["toy_t1"][mask], expected)
    assert (dictionary.values(matcher.match(y))["toy_t1"] != expected).any()


def test_a_matcher_for_another_number_of_pools_is_refused_before_the_scan(scan, small_dictionary):
    with pytest.raises(
        InputError, match="'groups' cannot search a dictionary of two pools; choose one of exact, promising, clust"
    ):
        DictionaryMatching(scan, WATER_FAT, small_dictionary, matcher="groups")


def test_a_slice_of_one_echo_time_is_refused(scan, sequence, small_dictionary):
    basis = compressed_basis(sequence, small_dictionary.atoms)
    te_ms = sequence.te_ms[:: sequence.spokes_per_frame]
    lacking = basis.without(np.flatnonzero(te_ms != te_ms[-1]).tolist())
    data, mask = np.ones((len(basis.te_ms), 1, 1), np.complex64), np.ones((1, 1), bool)
    with pytest.raises(ScanError, match=r"every frame with the echo time .* or .* ms is missing"):
        list(DictionaryMatching(scan, WATER_FAT, small_dictionary).feed(Fingerprints(data, lacking, mask, 0, NOWHERE)))
