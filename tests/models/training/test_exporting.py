"""Archives: what was trained, to rounding, and all that is needed to run it."""

import argparse
import json
import shlex
import shutil
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_scan import gradient_spoiled

from spokestream.errors import FileError
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.balsiger2020 import Balsiger2020
from spokestream.models.training import recipes
from spokestream.models.training.checkpoint import read_best
from spokestream.models.training.exporting import export
from spokestream.models.training.loop import train
from spokestream.models.training.model_card import model_card
from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.pipelines.cli.main import COMMANDS
from spokestream.pipelines.cli.options import settings_from

HALF = [("cpu", "bfloat16")] + [("cuda", p) for p in ("float16", "bfloat16") if torch.cuda.is_available()]


def run(folder, training_set, network, **changes):
    one_pixel = RECIPES[network].patch == 1
    size = {"per_slice": 16, "batch": 32} if one_pixel else {"patch": 8, "per_slice": 2, "batch": 4}
    epochs = 1 + RECIPES[network].first_epochs
    train(
        folder, training_set,
        TrainingSettings(network, validation=1, epochs=epochs, precision="float32", **size, **changes),
    )  # fmt: skip


@pytest.mark.parametrize("network", RECIPES)
def test_every_network_leaves_as_an_archive_that_gives_the_same_maps(network, training_set, tmp_path, monkeypatch):
    compact = replace(RECIPES["balsiger2020"], build=lambda images, maps: Balsiger2020(images, maps, 5, 400_000, 6))
    monkeypatch.setitem(recipes.RECIPES, "balsiger2020", compact)
    monkeypatch.setitem(recipes.RECIPES, "fang2019", replace(RECIPES["fang2019"], first_epochs=1))
    run(tmp_path, training_set, network)
    contract, difference = export(tmp_path, training_set, tmp_path / "archive.pt")
    assert 0 <= difference < 1e-4
    archive = load_archive(tmp_path / "archive.pt")
    assert archive.contract.name == network
    assert [o.map for o in archive.contract.outputs] == ["ff", "t1h2o", "t1fat", "deltaf", "b1"]
    assert all(o.std == (network == "ours") for o in archive.contract.outputs)
    assert archive.contract.sequence.difference(contract.sequence) is None
    assert archive.contract.efficiency == ((0.9, 1.0) if network == "ours" else None)
    recipe = TrainingSet(training_set).recipe
    assert archive.contract.pixel_mm == (350 / recipe["matrix"], 350 / recipe["matrix"])  # thighs, in 350 mm
    assert archive.contract.demodulation_hz == TrainingSet(training_set).recipe["demodulation_hz"]
    assert "BatchNorm" not in {module.original_name for module in archive.module.modules()}
    item = TrainingSet(training_set)[7]
    slice_ = item["fingerprints"].numpy(), item["foreground"].numpy()
    exact = TiledNetwork(archive, "cpu", "float32").planes(*slice_)
    for device, precision in HALF:
        given = TiledNetwork(archive, device, precision).planes(*slice_)
        assert 0 < np.linalg.norm(given - exact) < 0.03 * np.linalg.norm(exact), (device, precision)


def test_a_network_of_window_images_leaves_with_its_windows(tmp_path):
    """As Balsiger et al. 2018 trained theirs; here 25 windows of 12 of 60 readouts."""
    sequence_file = tmp_path / "fisp.toml"
    sequence_file.write_text(gradient_spoiled(60))
    settings = DataSettings(
        subjects=2, slices=2, matrix=32, coils=(4, 4), virtual_coils=4, anatomies="brain", noise=(0, 0),
        sequence=str(sequence_file), demodulation_hz=0.0, path="full", basis="window", window=12, stride=2,
    )  # fmt: skip
    make_training_set(tmp_path / "set", settings, "synchronous")
    windows = TrainingSet(tmp_path / "set").basis
    run(tmp_path / "run", tmp_path / "set", "balsiger2018")
    export(tmp_path / "run", tmp_path / "set", tmp_path / "archive.pt")
    contract = load_archive(tmp_path / "archive.pt").contract
    assert contract.channels == 2 * 25
    np.testing.assert_array_equal(contract.basis.weights, windows.weights)
    np.testing.assert_array_equal(contract.basis.noise, windows.noise)
    assert "--path full --basis window --window 12 --stride 2" in model_card(contract)


def test_a_network_for_iterative_images_leaves_with_their_name(tmp_path):
    sequence_file = tmp_path / "fisp.toml"
    sequence_file.write_text(gradient_spoiled(60))
    settings = DataSettings(
        subjects=2, slices=2, matrix=32, coils=(4, 4), anatomies="brain", sequence=str(sequence_file),
        demodulation_hz=0.0, path="full", images="iterative",
    )  # fmt: skip
    make_training_set(tmp_path / "set", settings, "synchronous")
    run(tmp_path / "run", tmp_path / "set", "ours")
    export(tmp_path / "run", tmp_path / "set", tmp_path / "archive.pt")
    contract = load_archive(tmp_path / "archive.pt").contract
    assert (contract.images, contract.efficiency) == ("iterative", (0.9, 1.0))
    assert "weighted by the power" in contract.normalisation
    card = model_card(contract)
    assert "iterative images of 60 frames" in card
    assert "--path full" in card
    assert "--images iterative" in card


def test_an_archive_says_what_made_it(training_set, tmp_path):
    run(tmp_path, training_set, "cohen2018", seed=3)
    contract, _ = export(tmp_path, training_set, tmp_path / "a.pt", "mine")
    assert contract.training["command"].startswith("spokestream train RUN DATA --network cohen2018 --seed 3")
    assert contract.training["learnt"] == [0, 1, 2]
    assert contract.training["validated"] == [3]
    assert contract.training["slices"] == 6
    card = model_card(load_archive(tmp_path / "a.pt").contract)
    assert card.startswith("# mine\n")
    assert contract.training["command"] in card
    assert f"| ff | 1 | 0 to 1 | {read_best(tmp_path).nrmse['ff']:.4f} |" in card


def test_the_commands_of_a_card_make_the_very_set(training_set, tmp_path):
    run(tmp_path, training_set, "cohen2018")
    contract, _ = export(tmp_path, training_set, tmp_path / "a.pt")
    grown = replace(contract, training=contract.training | {"learnt": [3, 7, 8], "validated": [9, 20]})
    for made, seeds in ((contract, [[0, 1, 2, 3]]), (grown, [[3], [7, 8, 9], [20]])):
        *datasets, _, _ = commands_of(made)
        for given, numbers in zip(datasets, seeds, strict=True):
            settings = settings_from(given, DataSettings)
            assert list(settings.seeds) == numbers
            assert json.loads(json.dumps(settings.recipe)) == made.training["data"]


def test_the_commands_of_a_card_train_and_export_the_very_network(training_set, tmp_path):
    run(tmp_path, training_set, "cohen2018", seed=3)
    contract, _ = export(tmp_path, training_set, tmp_path / "new" / "a.pt", "mine")
    *_, training, exporting = commands_of(contract)
    assert asdict(settings_from(training, TrainingSettings)) == contract.training["settings"]
    assert (exporting.output, exporting.name) == (Path("mine.pt"), "mine")


def commands_of(contract):
    """What the command line makes of the commands in a card."""
    lines = model_card(contract).split("```sh\n")[1].split("```")[0].splitlines()
    found = []
    for command, *arguments in (shlex.split(line)[1:] for line in lines):
        parser = argparse.ArgumentParser()
        COMMANDS[command].options(parser)
        found.append(parser.parse_args(arguments))
    return found


@pytest.mark.parametrize("error", [0.1, float("nan")])
def test_an_archive_that_differs_is_refused_and_leaves_no_file(error, training_set, tmp_path, monkeypatch):
    run(tmp_path / "run", training_set, "cohen2018")
    (tmp_path / "old.pt").write_text("an older archive")

    def spoil(network):
        spoilt = deepcopy(network)
        with torch.no_grad():
            spoilt.layers[0].weight += error
        return spoilt

    monkeypatch.setattr("spokestream.models.training.exporting.fold_batch_norm", spoil)
    for name in ("new.pt", "old.pt"):
        with pytest.raises(FileError, match="differ from the network's"):
            export(tmp_path / "run", training_set, tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "old.pt"}
    assert (tmp_path / "old.pt").read_text() == "an older archive"


def test_a_run_is_exported_with_its_own_data_alone(training_set, settings, tmp_path):
    from spokestream.models.datasets.making import make_training_set

    with pytest.raises(FileError, match="holds no trained network"):
        export(tmp_path, training_set, tmp_path / "a.pt")
    run(tmp_path, training_set, "cohen2018")
    make_training_set(tmp_path / "other", replace(settings, first_seed=3, subjects=1), "synchronous")
    with pytest.raises(FileError, match="is not the training set"):
        export(tmp_path, tmp_path / "other", tmp_path / "a.pt")
    shutil.copytree(training_set, tmp_path / "turned")
    with h5py.File(tmp_path / "turned" / "basis.h5", "r+") as file:
        file["basis/weights"][:, 0] *= -1
    with pytest.raises(FileError, match="is not the training set"):
        export(tmp_path, tmp_path / "turned", tmp_path / "a.pt")
