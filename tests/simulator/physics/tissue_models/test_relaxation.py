"""T1 and T2 of gradient-spoiled trains: signals, derivatives, dictionary, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spokestream.errors import FileError, ScanError
from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.one_pool import ATOM
from spokestream.simulator.physics.dictionaries.t1t2 import t1t2_grid
from spokestream.simulator.physics.engines.epg import TOLERANCE
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence
from spokestream.simulator.physics.tissue_models.relaxation import LEAST_ENERGY, RELAXATION


@pytest.fixture(scope="module")
def sequence():
    return load_sequence("fisp-song-200")


@pytest.fixture(scope="module")
def dictionary(sequence):
    return RELAXATION.dictionary(sequence)


def test_atoms_are_the_signals_of_phase_graphs(sequence, dictionary):
    """Interpolated atoms differ from phase graphs by as much as these leave out of their own orders."""
    chosen = np.random.default_rng(1).integers(0, len(dictionary.atoms), 300)
    exact = fingerprint(sequence, dictionary.parameters["t1"][chosen], dictionary.parameters["t2"][chosen], orders=200)
    assert np.abs(dictionary.atoms[chosen] - exact).max() < TOLERANCE


def test_neighbours_differ_by_a_fortieth_and_t2_is_never_longer_than_t1(dictionary):
    for name, ends in (("t1", (100, 5000)), ("t2", (5, 2500))):
        values = dictionary.axes[name]
        assert (values[0], values[-1]) == pytest.approx(ends)
        assert np.diff(np.log(values)) == pytest.approx(0.025, abs=2e-4)
    assert (dictionary.parameters["t2"] <= dictionary.parameters["t1"]).all()


def test_the_closed_form_is_that_of_phase_graphs_in_any_basis(sequence, dictionary):
    basis = compressed_basis(sequence, dictionary.atoms[::16])
    t1, t2 = np.array([300.0, 900.0, 1600.0, 4000.0]), np.array([40.0, 70.0, 110.0, 2000.0])
    voxels = [torch.tensor(values, dtype=torch.float32) for values in (t1, t2)]
    for efficiency in (1.0, 0.95):
        signal = fingerprint(sequence, t1, t2, inversion_efficiency=efficiency, orders=200)
        expected = basis.project(signal) / basis.noise
        found, _ = RELAXATION.closed_form(sequence, basis).at(*voxels, efficiency=efficiency)
        error = np.linalg.norm(found.numpy() - expected, axis=1) / np.linalg.norm(expected, axis=1)
        assert error.max() < 10 * TOLERANCE  # signals are about a tenth of the equilibrium magnetisation


def test_derivatives_are_those_of_finite_differences(sequence):
    form = RELAXATION.closed_form(sequence, frame_basis(sequence))
    t1, t2 = torch.tensor([700.0, 1500.0]), torch.tensor([60.0, 150.0])
    _, derivatives = form.at(t1, t2, by_efficiency=True)
    step = 0.02
    factors = torch.exp(torch.tensor([step, -step]))
    by_t1 = (form.at(t1 * factors[0], t2)[0] - form.at(t1 * factors[1], t2)[0]) / (2 * step)
    by_t2 = (form.at(t1, t2 * factors[0])[0] - form.at(t1, t2 * factors[1])[0]) / (2 * step)
    by_efficiency = (form.at(t1, t2, efficiency=1)[0] - form.at(t1, t2, efficiency=0.9)[0]) / 0.1
    for found, expected in zip(derivatives.unbind(1), (by_t1, by_t2, by_efficiency), strict=True):
        # a central difference errs by step^2 / 6 of the third derivative, which is as large as the first or less
        assert (found - expected).abs().max() < 2 * step**2 * expected.abs().max()


def test_the_truth_of_a_voxel_is_its_water_s_unless_it_holds_fat():
    voxels = {name: np.array(values) for name, values in (
        ("ff", [0.0, 0.2]), ("t1h2o", [900.0, 800.0]), ("t2h2o", [80.0, 50.0]),
    )}  # fmt: skip
    truth = RELAXATION.truth(voxels)
    assert {name: values.tolist() for name, values in truth.items()} == {"t1": [900, 0], "t2": [80, 0]}


def test_the_first_model_that_a_sequence_encodes():
    assert model_of_sequence(load_sequence("fisp-fang-2304")) is RELAXATION
    assert model_of_sequence(load_sequence("t1ff-2d-1400")).name == "water_fat"


def test_sequences_that_do_not_encode_t1_and_t2_are_refused(sequence):
    assert RELAXATION.refusal(sequence) is None
    assert "spoiling of 't1ff-2d-1400' is ideal" in RELAXATION.refusal(load_sequence("t1ff-2d-1400"))
    two_echoes = replace(sequence, te_ms=sequence.te_ms + np.where(np.arange(len(sequence)) < 9, 0, 0.5))
    assert "has 2" in RELAXATION.refusal(two_echoes)
    turning = replace(sequence, rf_phase_deg=np.arange(len(sequence)) * 50.0)
    assert "phases of the pulses" in RELAXATION.refusal(turning)
    with pytest.raises(ScanError, match="spoiling of 't1ff-2d-1400' is ideal"):
        RELAXATION.check(load_sequence("t1ff-2d-1400"))


def test_a_dictionary_file_is_read(sequence, tmp_path):
    grid = t1t2_grid("small", np.array([500.0, 900.0, 1400.0]), np.array([40.0, 90.0]))
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, grid)
    read = RELAXATION.load_dictionary(tmp_path / "d.h5")
    np.testing.assert_array_equal(read.parameters["t1"], grid.t1_ms)
    np.testing.assert_array_equal(read.parameters["t2"], grid.t2_ms)
    np.testing.assert_allclose(
        read.atoms, made.atoms, atol=3e-5 * np.abs(made.atoms).max()
    )  # nearly all energy is kept
    (tmp_path / "text.h5").write_text("no dictionary")
    with pytest.raises(FileError, match="no T1/T2 dictionary"):
        RELAXATION.load_dictionary(tmp_path / "text.h5")


def test_matching_with_the_compressed_copy_finds_the_atoms_of_the_file(sequence, tmp_path):
    grid = t1t2_grid("small", np.geomspace(300, 3000, 30), np.geomspace(20, 300, 20))
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, grid)
    read = RELAXATION.load_dictionary(tmp_path / "d.h5")
    assert read.coefficients.shape[1] < 40  # of 200 spokes
    basis = compressed_basis(sequence, read.signals(slice(None, None, 16)))
    y = torch.from_numpy((2j * basis.project(made.atoms)).astype(np.complex64))
    match = OnePoolAtoms(read, basis).match(y)
    np.testing.assert_array_equal(match.index[ATOM], np.arange(len(grid)))
    np.testing.assert_allclose(match.rho, 2j, rtol=1e-4)


def test_a_dictionary_of_too_few_vectors_is_refused(sequence, tmp_path):
    grid = t1t2_grid("small", np.geomspace(300, 3000, 30), np.geomspace(20, 300, 20))
    build_t1t2_dictionary(tmp_path / "few.h5", sequence, grid, compress=2)
    with pytest.raises(
        FileError, match=r"compressed to 9\d\.\d+ % of the energy.* make it with --compress 0\.999, or w"
    ):
        RELAXATION.load_dictionary(tmp_path / "few.h5")
    made = build_t1t2_dictionary(tmp_path / "enough.h5", sequence, grid, compress=LEAST_ENERGY)
    read = RELAXATION.load_dictionary(tmp_path / "enough.h5")
    np.testing.assert_array_equal(read.vectors, made.basis)
