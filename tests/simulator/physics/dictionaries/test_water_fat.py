"""The T1-FF dictionary and its file."""

import dataclasses

import h5py
import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.t1t2 import t1t2_grid
from spokestream.simulator.physics.dictionaries.water_fat import (
    Grid,
    build_dictionary,
    load_dictionary,
    save_dictionary,
)
from spokestream.simulator.physics.sequences.loading import load_sequence

GRID = Grid(t1h2o_ms=np.array([700.0, 1400.0, 1900.0]), t1fat_ms=np.array([350.0]), b1=np.array([0.5, 0.9]))


@pytest.fixture
def dictionary():
    sequence = dataclasses.replace(
        load_sequence("t1ff-3d-760"), inversion=False, rf_phase_deg=np.arange(760.0) % 360, recovery_ms=12.5
    )
    return build_dictionary(sequence, GRID)


def test_the_published_grid_has_7182000_combinations_with_its_21_fat_fractions():
    assert len(Grid()) * 21 == 7_182_000


def test_a_file_gives_back_atoms_grid_and_every_field_of_the_sequence(tmp_path, dictionary):
    save_dictionary(tmp_path / "d.h5", dictionary, "1.2.3")
    read = load_dictionary(tmp_path / "d.h5")
    for field in dataclasses.fields(read.sequence):
        assert np.array_equal(getattr(read.sequence, field.name), getattr(dictionary.sequence, field.name)), field.name
    assert read.digest == dictionary.digest
    np.testing.assert_allclose(read.atoms, dictionary.atoms, atol=1e-7)
    assert np.array_equal(read.grid.deltaf_hz, GRID.deltaf_hz)
    with h5py.File(tmp_path / "d.h5") as file:
        assert file.attrs["software"] == "1.2.3"


def test_trains_that_keep_transverse_magnetisation_are_refused(dictionary):
    with pytest.raises(InputError, match="ideally spoiled trains; the spoiling of 't1ff-3d-760' is gradient"):
        build_dictionary(dataclasses.replace(dictionary.sequence, spoiling="gradient"), GRID)


def test_files_of_another_form_are_refused(tmp_path, dictionary):
    with pytest.raises(FileError, match="is no dictionary file"):
        load_dictionary(tmp_path / "gone.h5")
    save_dictionary(tmp_path / "d.h5", dictionary)
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["atoms/fat"]
        file["atoms/fat"] = np.zeros((2, 2))
    with pytest.raises(FileError, match="atoms of another shape"):
        load_dictionary(tmp_path / "d.h5")


def test_a_dictionary_over_t1_and_t2_is_refused_with_what_is_needed(tmp_path, dictionary):
    sequence = dataclasses.replace(dictionary.sequence, spoiling="gradient", inversion=True)
    grid = t1t2_grid("small", np.array([900.0]), np.array([50.0]))
    build_t1t2_dictionary(tmp_path / "d.h5", sequence, grid)
    with pytest.raises(FileError, match=r"is a dictionary over T1 and T2; maps of water and fat need .* --grid t1ff"):
        load_dictionary(tmp_path / "d.h5")
