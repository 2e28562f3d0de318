"""Training sets: the same bits however they come about, and nothing of another set."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_scan import gradient_spoiled
from threadpoolctl import threadpool_info, threadpool_limits

from spokestream.errors import FileError, InputError
from spokestream.gadgets.spokes.moved_spokes import moved
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import make_training_set, tissue_box
from spokestream.models.datasets.shards import TrainingSet, shard_path
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.registry import model_of_sequence

ROOT = Path(__file__).parents[3]
HERE = "synchronous"


def contents(path):
    with h5py.File(path, "r") as file:
        found = {"attributes": repr(sorted(file.attrs.items()))}
        file.visititems(lambda name, item: found.__setitem__(name, _content(item)))
        return found


def _content(item):
    return item[()].tobytes() if isinstance(item, h5py.Dataset) else repr(sorted(item.attrs.items()))


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "whole"
    assert make_training_set(folder, settings, HERE) == 3
    return folder


def test_a_shard_holds_what_it_was_made_from(folder, settings):
    with threadpool_limits(1, "blas"):  # as a shard is made: another number of threads rounds differently
        exam = WhitenedExam(settings.exam(1))
    with h5py.File(shard_path(folder, 1), "r") as file:
        rows, columns = tissue_box(exam.phantoms)
        assert tuple(file.attrs["corner"]) == (rows.start, columns.start)
        for name in ("ff", "t1h2o", "deltaf"):
            for level, phantom in enumerate(exam.phantoms):
                assert np.array_equal(file[f"maps/{name}"][level], getattr(phantom, name)[rows, columns])
        assert file["maps/t1h2o"].attrs["unit"] == "ms"
        names = json.loads(file["label"].attrs["names"])
        assert "subcutaneous fat" in {names[n] for n in np.unique(file["label"])}
        assert file["subject"].attrs["age_years"] == exam.subject.age_years
        assert file["exam"].attrs["coils"] == len(exam.coils)
        # bright where there is tissue, and called so
        tissue, found = file["maps/pd"][()] > 0.5, file["foreground"][()]
        assert np.mean(found[tissue]) > 0.9
        energy = np.linalg.norm(file["fingerprints"], axis=1)
        assert energy[tissue].mean() > 3 * energy[file["maps/pd"][()] == 0].mean()


def test_slices_come_as_tensors(folder):
    data = TrainingSet(folder)
    assert len(data) == 6
    item = data[3]
    k = data.basis.weights.shape[1]
    assert item["fingerprints"].shape == (k, 35, 35)
    assert item["fingerprints"].dtype == torch.complex64
    assert item["foreground"].dtype == torch.bool
    assert item["t1fat"].shape == (35, 35)
    assert len(data.sequence) == 180
    with pytest.raises(IndexError, match="no slice 6"):
        data[6]
    assert torch.equal(pickle.loads(pickle.dumps(data))[3]["ff"], item["ff"])
    (batch,) = torch.utils.data.DataLoader(TrainingSet(folder, seeds=[1]), batch_size=2)
    assert torch.equal(batch["ff"][1], item["ff"])
    with pytest.raises(FileError, match="Subject 9 is not in the training set"):
        TrainingSet(folder, seeds=[1, 9])
    with pytest.raises(FileError, match="holds no training set"):
        TrainingSet(folder.parent)


KILLED = """
import json, sys
from pathlib import Path
import h5py
from spokestream.models.datasets.making import DataSettings, make_training_set

create_group = h5py.Group.create_group

def wait_in_the_second_subject(group, *arguments, **options):
    if "subject-000001" in group.file.filename:
        group.file.flush()
        print("the maps of the second subject are written", flush=True)
        sys.stdin.read()
    return create_group(group, *arguments, **options)

h5py.Group.create_group = wait_in_the_second_subject
settings = DataSettings(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(sys.argv[2]).items()})
make_training_set(Path(sys.argv[1]), settings, "synchronous", lambda done, total: print(done, flush=True))
"""


def test_a_killed_run_goes_on_where_it_was(folder, settings, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path, json.dumps(asdict(settings))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
    ) as process:  # fmt: skip
        assert [process.stdout.readline().strip() for _ in range(3)] == [
            "0", "1", "the maps of the second subject are written"
        ]  # fmt: skip
        process.kill()
    assert (tmp_path / ".subject-000001.h5.part").stat().st_size > shard_path(tmp_path, 0).stat().st_size / 2
    assert TrainingSet(tmp_path).seeds == [0]
    written = shard_path(tmp_path, 0).stat().st_mtime_ns
    steps = []
    assert make_training_set(tmp_path, settings, HERE, lambda done, total: steps.append((done, total))) == 2
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for seed in range(3):
        assert contents(shard_path(tmp_path, seed)) == contents(shard_path(folder, seed))
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == written
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_does_not_change_the_bits(threads, folder, settings, tmp_path):
    with threadpool_limits(threads, "blas"):
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {threads}
        assert make_training_set(tmp_path, replace(settings, subjects=1), HERE) == 1
    assert contents(shard_path(tmp_path, 0)) == contents(shard_path(folder, 0))


def test_more_subjects_are_added_and_none_is_made_twice(folder, settings, tmp_path):
    assert make_training_set(tmp_path, replace(settings, subjects=1, first_seed=2), HERE) == 1
    assert make_training_set(tmp_path, replace(settings, subjects=2, first_seed=1), HERE) == 1
    assert make_training_set(tmp_path, replace(settings, subjects=2, first_seed=1), HERE) == 0
    assert TrainingSet(tmp_path).seeds == [1, 2]
    for seed in (1, 2):
        assert contents(shard_path(tmp_path, seed)) == contents(shard_path(folder, seed))
    assert contents(shard_path(folder, 1))["fingerprints"] != contents(shard_path(folder, 2))["fingerprints"]


def test_dask_workers_make_the_same_bits(folder, settings, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        assert make_training_set(tmp_path, settings, cluster.scheduler_address) == 3
    for seed in range(3):
        assert contents(shard_path(tmp_path, seed)) == contents(shard_path(folder, seed))


def test_a_folder_of_other_settings_is_refused(folder, settings):
    for changes, words in (
        ({"noise": (0.1, 0.1), "slices": 1}, r"made with other settings \(noise, slices\)"),
        ({"path": "full"}, r"made with other settings \(path\)"),
    ):
        with pytest.raises(FileError, match=words):
            make_training_set(folder, replace(settings, **changes), HERE)


def test_images_of_windows_are_means_of_their_halves(tmp_path):
    sequence = tmp_path / "fisp.toml"
    sequence.write_text(gradient_spoiled(60))
    whole = DataSettings(
        subjects=1, slices=1, matrix=32, coils=(4, 4), virtual_coils=4, anatomies="brain", sequence=str(sequence),
        demodulation_hz=0.0, path="full", basis="window", window=12, stride=6,
    )  # fmt: skip
    found = {}
    for name, settings in {"whole": whole, "halves": replace(whole, window=6)}.items():
        make_training_set(tmp_path / name, settings, HERE)
        found[name] = TrainingSet(tmp_path / name)[0]["fingerprints"].numpy()
    assert len(found["halves"]) == 60 // 6
    expected = (found["halves"][1:] + found["halves"][:-1]) / 2
    assert np.linalg.norm(found["whole"] - expected) < 1e-5 * np.linalg.norm(expected)


def test_only_sets_of_windows_have_windows_in_their_recipe():
    """A set that was made before data sets had windows can still grow."""
    windows = {"basis", "window", "stride"}
    assert windows.isdisjoint(DataSettings().recipe)
    assert windows < DataSettings(path="full", basis="window").recipe.keys()


def test_a_sequence_that_has_changed_since_is_refused(settings, tmp_path):
    file = tmp_path / "mine.toml"
    train = Path(settings.sequence).read_text()
    file.write_text(train)
    mine = replace(settings, subjects=1, slices=1, sequence=str(file))
    assert make_training_set(tmp_path / "set", mine, HERE) == 1
    file.write_text(train.replace("flip_angle_deg = 15.0", "flip_angle_deg = 14.0"))
    with pytest.raises(FileError, match="made with another sequence: flip_angle_deg of spoke 136"):
        make_training_set(tmp_path / "set", mine, HERE)


def test_without_dask_it_says_what_to_install(settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"install spokestream\[train\]"):
        make_training_set(tmp_path, settings)


def test_every_subject_draws_from_its_own_number():
    settings = DataSettings(anatomies="thigh,calf")
    exams = [settings.exam(seed) for seed in range(200)]
    assert exams[17] == DataSettings(anatomies="thigh,calf", subjects=1, first_seed=17).exam(17)
    assert {exam.anatomy for exam in exams} == {"thigh", "calf"}
    assert {exam.coils for exam in exams} == set(range(8, 25))
    for values, low, high in (
        ([exam.noise for exam in exams], 0.05, 0.2),
        ([exam.delays[0] for exam in exams], -0.3, 0.3),
        ([exam.delays[1] for exam in exams], -0.3, 0.3),
        ([exam.inversion_efficiency for exam in exams], 0.9, 1.0),
    ):
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 0.1 * (high - low)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"anatomies": "thigh,wing"}, "no anatomy 'wing'"),
        ({"noise": (0.2, 0.1)}, "The setting noise is a range from low to high, not 0.2,0.1"),
        ({"coils": (8,)}, "The setting coils must be 2 whole numbers from 1 to 256, not 8"),
        ({"subjects": 0}, "The setting subjects must be a whole number from 1"),
        ({"matrix": 20.5}, "whole number"),
        ({"path": "quick"}, "one of fast, full"),
        ({"basis": "window"}, "images of sliding windows take --path full"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        DataSettings(**changes)


def test_few_files_of_a_large_set_are_open_at_once(folder, monkeypatch):
    def open_files():
        return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)

    monkeypatch.setattr("spokestream.models.datasets.shards.MOST_OPEN", 2)
    data = TrainingSet(folder)
    fresh = [TrainingSet(folder, seeds=[seed])[0]["ff"] for seed in range(3)]
    before = open_files()
    for _ in range(2):
        assert all(torch.equal(data[2 * seed]["ff"], fresh[seed]) for seed in range(3))
        assert open_files() - before <= 2


def test_the_identity_of_a_set_is_that_of_its_basis_and_sequence(folder, tmp_path):
    known = TrainingSet(folder).identity
    assert TrainingSet(folder, seeds=[1]).identity == known
    for number, change in enumerate(("basis/noise", "basis/weights", "basis/te_ms", "sequence/tr_ms")):
        copy = tmp_path / str(number)
        copy.mkdir()
        for name in ("training_set.json", "basis.h5"):
            shutil.copy(folder / name, copy)
        with h5py.File(copy / "basis.h5", "r+") as file:
            file[change][-1] *= 1.01
        other = TrainingSet(copy).identity
        assert other["recipe"] == known["recipe"]
        assert other["digest"] != known["digest"]


def test_spokes_are_moved_by_the_delays_of_the_scan_if_that_is_wanted(monkeypatch):
    used = []

    def recorded(k, delays, fov_ratio):
        used.append(delays)
        return moved(k, delays, fov_ratio)

    monkeypatch.setattr("spokestream.gadgets.delay_correction.moved", recorded)
    settings = DataSettings(matrix=48, slices=1, coils=(4, 4), noise=(0.0, 0.0), delays=0.5, path="full")
    exam = WhitenedExam(settings.exam(5000))
    atoms = model_of_sequence(exam.sequence).dictionary(exam.sequence).atoms
    make = partial(
        full_fingerprints, exam, 0, compressed_basis(exam.sequence, atoms), virtual_coils=8, demodulation_hz=200.0
    )
    assert max(map(abs, exam.settings.delays)) > 0.3
    uncorrected = make().data
    assert used == []
    corrected = make(correct_delays=True).data
    assert used[0][:2] == pytest.approx(exam.settings.delays, abs=0.01)
    assert not np.array_equal(uncorrected, corrected)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"change": "none,tumour"}, "no change 'tumour'; there are none, texture"),
        ({"delay_correction": "auto"}, "no spokes whose delays"),
        ({"images": "iterative", "path": "full", "basis": "window"}, "compressed basis"),
        ({"stride": 1}, "The setting stride changes nothing with basis=compressed"),
    ],
)
def test_what_a_path_cannot_make_is_refused(wanted, reason):
    with pytest.raises(InputError, match=reason):
        DataSettings(**wanted)


def test_each_subject_draws_one_of_several_changes():
    settings = DataSettings(change="none,none,texture")
    drawn = [settings.change_of(seed) for seed in range(300)]
    assert set(drawn) == {"none", "texture"}
    # 200 of 300 are expected, with a standard deviation of 8
    assert drawn.count("none") == pytest.approx(200, abs=32)
    assert drawn == [replace(settings, subjects=7, first_seed=5).change_of(seed) for seed in range(300)]
    assert {DataSettings(change="texture").change_of(seed) for seed in range(9)} == {"texture"}
    assert settings.recipe["change"] == "none,none,texture"
    assert "change" not in DataSettings().recipe


@pytest.mark.parametrize("change", ["texture", "oedema", "any-fields"])
def test_changed_brains_of_any_relaxation_stay_in_the_range_of_people(tmp_path, change):
    (tmp_path / "fisp.toml").write_text(gradient_spoiled(80))
    settings = DataSettings(
        subjects=6, slices=2, matrix=32, coils=(2, 2), anatomies="brain", sequence=str(tmp_path / "fisp.toml"),
        demodulation_hz=0.0, relaxation=1.6, change=change,
    )  # fmt: skip
    make_training_set(tmp_path / "set", settings, "synchronous")
    assert len(TrainingSet(tmp_path / "set")) == 12
