"""A network can be trained on the maps of matching, as those of patients were."""

import h5py
import numpy as np
import pytest
import torch

from spokestream.errors import FileError, InputError
from spokestream.models.datasets.matched import match_training_set
from spokestream.models.datasets.shards import TrainingSet, matched_path, tissue
from spokestream.models.evaluation.evaluating import evaluate
from spokestream.models.evaluation.reconstructors import reconstructor
from spokestream.models.training.exporting import export
from spokestream.models.training.inputs.targets import targets
from spokestream.models.training.loop import split, train
from spokestream.models.training.model_card import model_card
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.pipelines.cli.main import main
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT


@pytest.fixture(scope="module")
def matched(training_set):
    match_training_set(training_set, threads=1)
    return training_set


def test_the_maps_are_those_that_an_evaluation_of_matching_finds(matched):
    evaluation = evaluate([matched], [reconstructor("matching")], threads=1)
    (condition,) = evaluation.conditions
    item = TrainingSet(matched, [0], matched=True)[1]  # an evaluation keeps the middle slice of the first subject
    for name in WATER_FAT.names:
        np.testing.assert_array_equal(item[name].numpy(), condition.verdicts["matching"].example[name])


def test_only_the_parameters_differ_from_the_truth(matched):
    found, true = (TrainingSet(matched, matched=which)[0] for which in (True, False))
    assert found.keys() == true.keys()
    same = {name for name in true if torch.equal(found[name], true[name])}
    assert same == true.keys() - set(WATER_FAT.names)
    where = tissue(true)
    error = (found["ff"] - true["ff"])[where].abs().mean()
    assert 0 < error < true["ff"][where].std() / 2  # maps of another slice or subject would differ by the whole of it


def test_subjects_are_matched_once(matched):
    with h5py.File(matched_path(matched, 2)) as file:
        assert {name: file[name].attrs["unit"] for name in file} == {
            "ff": "1", "t1h2o": "ms", "t1fat": "ms", "deltaf": "Hz", "b1": "1",
        }  # fmt: skip
    content = matched_path(matched, 3).read_bytes()
    matched_path(matched, 2).unlink()
    calls = []
    assert match_training_set(matched, 1, lambda done, total: calls.append((done, total))) == 1
    assert calls == [(3, 4), (4, 4)]
    assert matched_path(matched, 3).read_bytes() == content
    assert match_training_set(matched) == 0


def test_training_and_validation_have_the_targets_of_the_settings(matched, tmp_path):
    wanted = TrainingSettings("cohen2018", targets="matching", validation=1)
    for part in split(matched, wanted):
        item = part[0]
        values, _ = targets(item, WATER_FAT, WATER_FAT.parameters)
        expected = TrainingSet(matched, part.seeds, matched=True)[0]["ff"]
        assert torch.equal(values[0], expected.clamp(0, 1))
    short = {"validation": 1, "epochs": 1, "per_slice": 8, "batch": 8, "precision": "float32"}
    errors = [
        train(tmp_path / t, matched, TrainingSettings("cohen2018", targets=t, **short)).nrmse
        for t in ("truth", "matching")
    ]
    assert errors[0] != errors[1]


def test_the_command_matches_before_it_trains_and_the_card_says_on_what(training_set, tmp_path, capsys):
    for seed in range(4):
        matched_path(training_set, seed).unlink(missing_ok=True)
    options = "--network cohen2018 --targets matching --validation 1 --epochs 1 --per-slice 8 --batch 8"
    assert main(["train", str(tmp_path / "run"), str(training_set), *options.split()]) == 0
    assert "best after epoch 1" in capsys.readouterr().out
    contract, _ = export(tmp_path / "run", training_set, tmp_path / "a.pt")
    assert "against the maps of matching over the range of each map" in model_card(contract)
    assert "--targets matching" in contract.training["command"]


def test_subjects_without_maps_of_matching_are_refused(matched):
    matched_path(matched, 1).unlink()
    with pytest.raises(FileError, match=r"Subject 1 of .* has no maps of matching"):
        TrainingSet(matched, matched=True)
    match_training_set(matched, 1)
    assert len(TrainingSet(matched, matched=True)) == 8


def test_a_dictionary_has_no_targets_but_its_atoms(tmp_path):
    file = tmp_path / "atoms.h5"
    file.touch()
    with pytest.raises(InputError, match="whose atoms are the truth; leave out --targets"):
        split(file, TrainingSettings("drone", targets="matching"))
