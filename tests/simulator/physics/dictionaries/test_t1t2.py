"""T1/T2 dictionaries: published grids, compression against a plain SVD, and files that survive a kill."""

import fcntl
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.dictionaries import build_t1t2 as module
from spokestream.simulator.physics.dictionaries.build_t1t2 import NEARLY_ALL, build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.singular_vectors import leading_vectors, normalised_gram
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, load_t1t2_dictionary, t1t2_grid
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

GRID = t1t2_grid("odd", np.arange(300.0, 3000, 210), np.arange(20.0, 500, 37))


class Physics:
    """Stands in for the simulation: decays that one can write down; remembers what it was asked, dies on demand."""

    def __init__(self, phase=1.0):
        self.asked, self.phase, self.lives = [], phase, np.inf

    def __call__(self, sequence, t1_ms, t2_ms, **_):
        if len(t1_ms) > 1:  # a single atom only asks for the type
            if self.lives == 0:
                raise KeyboardInterrupt
            self.lives -= 1
            self.asked += list(zip(t1_ms, t2_ms, strict=True))
        time = np.cumsum(sequence.tr_ms)
        signal = self.phase * (np.exp(-time / t2_ms[:, None]) - 0.5 * np.exp(-time / t1_ms[:, None]))
        return signal.astype(np.complex64 if np.iscomplexobj(signal) else np.float32)


@pytest.fixture
def physics(monkeypatch):
    physics = Physics()
    monkeypatch.setitem(sys.modules, "spokestream.simulator.physics.fingerprint", SimpleNamespace(fingerprint=physics))
    monkeypatch.setattr(module, "CHUNK", 17)
    return physics


@pytest.fixture
def sequence():
    n = 41
    trains = {"flip_angle_deg": np.linspace(5, 40, n), "te_ms": np.full(n, 2.0), "tr_ms": np.linspace(9, 14, n)}
    return PulseSequence("odd", **trains, ti_ms=20.0, recovery_ms=0.0, repetitions=1, spoiling="gradient")


@pytest.mark.parametrize(("name", "atoms"), [("fang", 13_123), ("drone", 79_900), ("song", 80_100)])
def test_published_grids_have_the_published_number_of_atoms(name, atoms):
    grid = GRIDS[name]()
    assert len(grid) == len(set(zip(grid.t1_ms, grid.t2_ms, strict=True))) == atoms
    assert np.all(grid.t1_ms >= grid.t2_ms)
    assert np.all(np.diff(grid.t2_ms) >= 0)


@pytest.mark.parametrize("name", ["drone", "song"])
def test_ten_millisecond_grids_span_the_published_ranges(name):
    grid = GRIDS[name]()
    assert np.array_equal(np.unique(grid.t1_ms), np.arange(1 if name == "song" else 11, 5000, 10))
    assert np.array_equal(np.unique(grid.t2_ms), np.arange(1, 2000, 10))


def test_the_file_holds_every_atom_once_in_order(tmp_path, physics, sequence):
    told = []
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID, software="7", progress=lambda *p: told.append(p))
    read = load_t1t2_dictionary(tmp_path / "d.h5")
    expected = Physics()(sequence, GRID.t1_ms, GRID.t2_ms)
    np.testing.assert_allclose(read.atoms, expected, rtol=1e-6)
    np.testing.assert_allclose(read.signals(3), expected[3], rtol=1e-6)
    assert read.atoms.dtype == np.float32
    assert read.sequence.difference(sequence) is None
    assert (read.grid.name, read.energy, read.basis) == ("odd", 1.0, None)
    assert np.array_equal(read.grid.t2_ms, GRID.t2_ms)
    assert told[0] == (0, len(GRID))
    assert told[-1] == (len(GRID), len(GRID))
    assert [p.name for p in tmp_path.iterdir()] == ["d.h5"]
    with h5py.File(tmp_path / "d.h5") as file:
        assert file.attrs["digest"] == read.digest == made.digest
        assert file.attrs["software"] == "7"


def test_a_compressed_copy_is_beside_the_atoms_of_every_spoke(tmp_path, physics, sequence):
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID)
    small = load_t1t2_dictionary(tmp_path / "d.h5", compressed=True)
    assert small.atoms.shape[1] < len(sequence)
    assert small.energy >= NEARLY_ALL
    lost = np.linalg.norm(small.signals() - made.atoms, axis=1) ** 2 / np.linalg.norm(made.atoms, axis=1) ** 2
    assert lost.mean() < 2 * (1 - NEARLY_ALL)  # and the rounding of single precision
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["compressed"]  # a file of an earlier version
    assert load_t1t2_dictionary(tmp_path / "d.h5", compressed=True).digest == made.digest


@pytest.mark.parametrize("torn_bytes", [0, 1, 41 * 4 - 1, 41 * 4 * 3 + 5])
def test_a_killed_build_goes_on_where_it_stopped(tmp_path, physics, sequence, torn_bytes):
    path, part = tmp_path / "d.h5", tmp_path / "d.h5.part"
    physics.lives = 3
    with pytest.raises(KeyboardInterrupt):
        build_t1t2_dictionary(path, sequence, GRID)
    assert not path.exists()
    with part.open("r+b") as file:  # what a kill in the middle of a write leaves
        file.truncate(part.stat().st_size - torn_bytes)
    whole = 3 * 17 - -(-torn_bytes // (41 * 4))
    physics.lives, physics.asked = np.inf, []
    told = []
    build_t1t2_dictionary(path, sequence, GRID, progress=lambda *p: told.append(p))
    assert told[0] == (whole, len(GRID))
    assert physics.asked == list(zip(GRID.t1_ms, GRID.t2_ms, strict=True))[whole:]
    expected = Physics()(sequence, GRID.t1_ms, GRID.t2_ms)
    np.testing.assert_allclose(load_t1t2_dictionary(path).atoms, expected, rtol=1e-6)
    assert not part.exists()


def test_what_is_finished_is_read_and_not_made_again(tmp_path, physics, sequence):
    first = build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID, compress=3)
    physics.lives = 0
    assert build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID, compress=3).digest == first.digest


def test_files_of_another_dictionary_are_not_touched(tmp_path, physics, sequence):
    path = tmp_path / "d.h5"
    physics.lives = 2
    with pytest.raises(KeyboardInterrupt):
        build_t1t2_dictionary(path, sequence, GRID)
    begun = path.with_name("d.h5.part").read_bytes()
    other = t1t2_grid("odd", GRID.t1_ms[:5], GRID.t2_ms[:5])
    for grid, software in ((other, ""), (GRID, "2")):
        with pytest.raises(FileError, match=r"d.h5.part was begun for another sequence, grid or version"):
            build_t1t2_dictionary(path, sequence, grid, software=software)
    assert path.with_name("d.h5.part").read_bytes() == begun
    physics.lives = np.inf
    build_t1t2_dictionary(path, sequence, GRID)
    for grid, compress in ((other, None), (GRID, 4)):
        with pytest.raises(FileError, match=r"d.h5 holds another dictionary"):
            build_t1t2_dictionary(path, sequence, grid, compress)


def test_two_processes_do_not_write_the_same_file(tmp_path, physics, sequence):
    with (tmp_path / "d.h5.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="Another process is making"):
            build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID)


@pytest.mark.parametrize("phase", [1.0, np.exp(0.7j)])
def test_compression_is_the_svd_of_the_normalised_atoms(tmp_path, physics, sequence, phase):
    physics.phase = phase
    atoms = Physics(phase)(sequence, GRID.t1_ms, GRID.t2_ms)
    singular = np.linalg.svd(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), compute_uv=False) ** 2
    kept = np.cumsum(singular) / singular.sum()
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID, compress=0.9999)
    rank = np.flatnonzero(kept >= 0.9999)[0] + 1
    assert made.basis.shape == (41, rank)
    assert made.energy == pytest.approx(kept[rank - 1], abs=1e-6)
    assert np.iscomplexobj(made.atoms) == np.iscomplexobj(atoms)
    np.testing.assert_allclose(made.basis.conj().T @ made.basis, np.eye(rank), atol=1e-6)
    lost = np.linalg.norm(made.signals() - atoms, axis=1) ** 2 / np.linalg.norm(atoms, axis=1) ** 2
    assert np.mean(lost) == pytest.approx(1 - kept[rank - 1], rel=1e-3)
    read = load_t1t2_dictionary(tmp_path / "d.h5")
    assert read.energy == made.energy
    assert np.array_equal(read.basis, made.basis)


def test_a_basis_of_all_spokes_loses_nothing():
    rng = np.random.default_rng(5)
    atoms = rng.standard_normal((23, 7)) + 1j * rng.standard_normal((23, 7))
    basis, energy = leading_vectors(normalised_gram([atoms[:9], atoms[9:]]), 7)
    np.testing.assert_allclose((atoms @ basis.conj()) @ basis.T, atoms)
    assert energy == pytest.approx(1)


def test_atoms_without_signal_do_not_count():
    atoms = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    assert np.array_equal(normalised_gram([atoms]), np.diag([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("compress", [0, -0.5, 1.0, 2.5, 42, float("nan")])
def test_impossible_compressions_are_refused_before_the_work(tmp_path, physics, sequence, compress):
    with pytest.raises(InputError, match="fraction of the energy between 0 and 1, or to 1 to 41 vectors"):
        build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID, compress)
    assert physics.asked == []


def test_trains_that_do_not_tell_t2_and_missing_folders_are_refused(tmp_path, sequence):
    with pytest.raises(InputError, match="T2 cannot be measured with 't1ff-2d-1400'"):
        build_t1t2_dictionary(tmp_path / "d.h5", load_sequence("t1ff-2d-1400"), GRID)
    with pytest.raises(FileError, match="There is no folder"):
        build_t1t2_dictionary(tmp_path / "gone" / "d.h5", sequence, GRID)


def test_files_of_another_kind_are_refused(tmp_path, physics, sequence):
    with pytest.raises(FileError, match="is no T1/T2 dictionary file"):
        load_t1t2_dictionary(tmp_path / "gone.h5")
    build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID)
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["grid/t1_ms"]
        file["grid/t1_ms"] = GRID.t1_ms[:-1]
    with pytest.raises(FileError, match="atoms of another shape"):
        load_t1t2_dictionary(tmp_path / "d.h5")
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file.attrs["kind"] = "spokestream dictionary"
    with pytest.raises(FileError, match="it is of another kind"):
        load_t1t2_dictionary(tmp_path / "d.h5")


def test_the_atoms_are_what_isochromats_do(tmp_path):
    from spokestream.simulator.physics.fingerprint import fingerprint

    sequence = load_sequence("epi-cohen-25")
    made = build_t1t2_dictionary(tmp_path / "d.h5", sequence, GRID)
    expected = fingerprint(sequence, GRID.t1_ms, GRID.t2_ms, engine="bloch")
    np.testing.assert_allclose(made.atoms, expected, atol=2e-4)
