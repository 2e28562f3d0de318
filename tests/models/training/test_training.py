"""Training: every network learns, the same way each time, and goes on as if it had never stopped."""

import shutil
from dataclasses import replace

import h5py
import pytest
import torch
from small_scan import short_fisp

from spokestream.errors import FileError, InputError
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.balsiger2020 import Balsiger2020
from spokestream.models.training import recipes
from spokestream.models.training.checkpoint import Best, read_best, read_progress, write_best
from spokestream.models.training.inputs.targets import targets
from spokestream.models.training.loop import Training, learning_rate, split, train
from spokestream.models.training.losses import absolute_difference, mean_squared, relative_difference
from spokestream.models.training.processes import Processes
from spokestream.models.training.recipes import RECIPES
from spokestream.models.training.tensorboard_log import Board
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import overall
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHORT = {
    "ours": {"patch": 16, "per_slice": 2, "batch": 4, "epochs": 12},
    "balsiger2020": {"patch": 16, "per_slice": 4, "batch": 8, "epochs": 40},
    "balsiger2018": {"patch": 5, "per_slice": 4, "batch": 8, "epochs": 25},
    "fang2019": {"patch": 8, "per_slice": 1, "batch": 1, "epochs": 16},
    "cohen2018": {"per_slice": 64, "batch": 128, "epochs": 12},
    "hoppe2017": {"per_slice": 64, "batch": 128, "epochs": 25},
    "oksuz2019": {"per_slice": 16, "batch": 16, "epochs": 20, "learning_rate": 5e-3},
    "drone": {"per_slice": 64, "batch": 128, "epochs": 12},
    "song2019": {"per_slice": 4, "batch": 8, "epochs": 12, "learning_rate": 1e-4},
}
"""Budgets that leave at most 0.75 of the error of the best constant, whichever of the first three seeds is taken."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A fast two-step training, and Balsiger 2020 with a budget that one core trains in seconds."""
    compact = replace(RECIPES["balsiger2020"], build=lambda images, maps: Balsiger2020(images, maps, 3, 150_000, 3))
    monkeypatch.setitem(recipes.RECIPES, "balsiger2020", compact)
    monkeypatch.setitem(recipes.RECIPES, "fang2019", replace(RECIPES["fang2019"], first_epochs=2))


def settings(network="ours", **changes):
    return TrainingSettings(network, validation=1, precision="float32", **{**SHORT[network], **changes})


@pytest.mark.parametrize("network", RECIPES)
def test_a_short_training_uses_the_fingerprints(network, training_set, tmp_path, monkeypatch):
    """An answer that does not depend on the fingerprint is a constant, and the mean is the best constant.

    Only the last weights count here. That every network can be validated is seen in test_exporting.py; of the short
    epochs here it would take a third of the time.
    """
    monkeypatch.setattr("spokestream.models.training.loop.validate", lambda *_: {"ff": 1.0})
    learnt = {} if RECIPES[network].conditioned else {"maps": "ff"}
    with Processes() as processes, Board(None) as board:
        training = Training(tmp_path, training_set, settings(network, **learnt), processes)
        training.run(board)
    batches = [batch for epoch in range(4) for batch in training.patches.batches(epoch)]
    with torch.no_grad():
        predicted = torch.cat([training.network.train()(x)[:, 0].flatten() for x, _, _ in batches])
    truth, weight = (torch.cat([batch[i][:, 0].flatten() for batch in batches]) for i in (1, 2))
    mean = (weight * truth).sum() / weight.sum()
    assert (weight * (predicted - truth).square()).sum() < (weight * (mean - truth).square()).sum()


@pytest.mark.parametrize("network", ["ours", "hoppe2017"])
def test_what_was_learnt_holds_for_another_subject(network, training_set, tmp_path):
    learnt = {} if RECIPES[network].conditioned else {"maps": "ff"}
    best = train(tmp_path, training_set, settings(network, **learnt))
    truth, weight = (t[0] for t in targets(TrainingSet(training_set, [3])[1], WATER_FAT, WATER_FAT.parameters))
    shown = truth[weight > 0]
    assert best.nrmse["ff"] < shown.std(correction=0) / (shown.max() - shown.min())  # the best constant, as above


def weights(folder):
    return read_progress(folder).weights


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class KilledError(Exception):
    pass


@pytest.fixture
def interrupted(training_set, tmp_path, monkeypatch):
    """Train twice, once with a break; gives the checkpoint of the break."""

    def run(network, when):
        short = settings(network, epochs=3)
        train(tmp_path / "whole", training_set, short)
        monkeypatch.setattr("spokestream.models.training.loop.CHECKPOINT_SECONDS", 0.0)

        def kill(report):
            if when(report):
                raise KilledError

        with pytest.raises(KilledError):
            train(tmp_path / "parts", training_set, short, kill)
        stopped = read_progress(tmp_path / "parts")
        train(tmp_path / "parts", training_set, short)
        assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
        assert read_best(tmp_path / "parts").nrmse == read_best(tmp_path / "whole").nrmse
        return stopped

    return run


# three batches an epoch; the checkpoint is that before the batch that is reported
@pytest.mark.parametrize("network", ["ours", "balsiger2018"])  # the second one draws what it drops
def test_a_run_that_was_interrupted_in_an_epoch_ends_with_the_same_bits(network, interrupted):
    stopped = interrupted(network, lambda report: report.batch == 5)
    assert (stopped.epoch, stopped.batch) == (1, 1)


def test_a_run_that_was_interrupted_while_it_validated_ends_with_the_same_bits(interrupted):
    stopped = interrupted("ours", lambda report: report.nrmse is not None)
    assert (stopped.epoch, stopped.batch) == (0, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_a_gpu_drops_goes_on_where_it_was(interrupted):
    stopped = interrupted("balsiger2018", lambda report: report.batch == 5)
    assert len(stopped.random_states) == 2


def test_a_checkpoint_makes_its_folder(tmp_path):
    best = Best({}, {}, 3, {"ff": 0.1}, 5.0)
    write_best(tmp_path / "runs" / "first", best)
    assert read_best(tmp_path / "runs" / "first") == best


def test_another_seed_gives_other_weights(training_set, tmp_path):
    for seed in (0, 1):
        train(tmp_path / str(seed), training_set, settings(epochs=1, seed=seed))
    assert not same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_a_folder_with_another_run_is_refused(training_set, tmp_path):
    train(tmp_path, training_set, settings(epochs=1))
    with pytest.raises(FileError, match="holds another run"):
        train(tmp_path, training_set, settings(epochs=1, seed=5))


def test_a_run_does_not_go_on_with_another_recipe(training_set, tmp_path, monkeypatch):
    train(tmp_path, training_set, settings(epochs=1))
    monkeypatch.setitem(recipes.RECIPES, "ours", replace(RECIPES["ours"], loss=mean_squared))
    with pytest.raises(FileError, match="holds another run"):
        train(tmp_path, training_set, settings(epochs=1))


@pytest.mark.parametrize("name", ["checkpoint.pt", "best.pt"])
def test_what_is_left_of_a_damaged_file_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(bytes(99))
    with pytest.raises(FileError, match=f"{name} is damaged, or was written by another version"):
        (read_progress if name == "checkpoint.pt" else read_best)(tmp_path)
    torch.save({"weights": {}}, tmp_path / name)
    with pytest.raises(FileError, match="written by another version"):
        (read_progress if name == "checkpoint.pt" else read_best)(tmp_path)


def test_a_set_with_another_basis_is_another_set(training_set, tmp_path):
    shutil.copytree(training_set, tmp_path / "set")
    train(tmp_path / "run", tmp_path / "set", settings(epochs=1))
    with h5py.File(tmp_path / "set" / "basis.h5", "r+") as file:
        file["basis/weights"][:, 0] *= -1
    with pytest.raises(FileError, match="holds another run"):
        train(tmp_path / "run", tmp_path / "set", settings(epochs=1))


def test_people_are_either_learnt_from_or_validated_with(training_set):
    learn, held_out = split(training_set, settings(subjects=2))
    assert (learn.seeds, held_out.seeds) == ([0, 1], [3])
    with pytest.raises(InputError, match="leave 3 for training"):
        split(training_set, settings(subjects=4))


def test_learning_rates_fall_as_the_papers_say():
    cosine, steps = RECIPES["ours"], RECIPES["song2019"]
    assert learning_rate(cosine, 0.0) < 0.01 * cosine.learning_rate
    assert learning_rate(cosine, 0.5) == pytest.approx(0.5 * cosine.learning_rate)
    assert learning_rate(cosine, 1.0) == pytest.approx(0, abs=1e-12)
    # Song et al. 2019: from 1e-2 to 1e-6 in tenfold steps every ten of fifty epochs
    assert [learning_rate(steps, epoch / 50) for epoch in (0, 9, 10, 25, 49)] == pytest.approx(
        [1e-2, 1e-2, 1e-3, 1e-4, 1e-6]
    )
    assert learning_rate(RECIPES["balsiger2020"], 0.9) == 1e-3
    short = recipes.recipe(settings("balsiger2020", decay="cosine"), WATER_FAT)
    assert learning_rate(short, 1.0) == pytest.approx(0, abs=1e-12)


def test_no_map_alone_decides_which_weights_are_best():
    assert overall({"ff": 0.02, "t1fat": 0.5}) == pytest.approx(0.1)
    assert overall({"ff": 0.02, "t1fat": 0.55}) < overall({"ff": 0.03, "t1fat": 0.5})


def test_the_best_weights_are_those_of_the_whole_network(training_set, tmp_path):
    validated = []
    best = train(
        tmp_path, training_set, settings("fang2019", maps="ff", epochs=3),
        lambda report: validated.append(report.epoch) if report.nrmse else None,
    )  # fmt: skip
    assert validated == [2]  # two epochs teach the features alone
    assert best.epoch == 3


def test_what_cannot_be_trained_is_refused_at_the_start(training_set, tmp_path):
    for wrong, why in [
        (settings("ours", maps="ff,b1"), "the maps to train lack t1h2o, t1fat, deltaf"),
        (settings("fang2019", epochs=2), "features alone for 2 epochs; a run takes more than those, not 2"),
        (settings("fang2019", patch=20), "a multiple of 8 pixels, not 20"),
        (settings("ours", first_epochs=2), "ours is trained in one step"),
    ]:
        with pytest.raises(InputError, match=why):
            train(tmp_path, training_set, wrong)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_set_is_as_in_the_paper():
    for name, published in RECIPES.items():
        assert recipes.recipe(TrainingSettings(name), WATER_FAT) == published
    changed = recipes.recipe(TrainingSettings("fang2019", learning_rate=2e-3, batch=8, first_epochs=3), WATER_FAT)
    assert changed == replace(RECIPES["fang2019"], learning_rate=2e-3, batch=8, first_epochs=3)


def test_the_architecture_of_balsiger_2020_can_be_chosen_and_that_of_others_cannot(training_set):
    sized = recipes.recipe(TrainingSettings("balsiger2020", receptive_field=9, parameters=2_000_000), WATER_FAT)
    data = TrainingSet(training_set)
    _, network = sized.make(data.basis, data.sequence, 5)
    assert network.border == 4
    convolutions = [p for name, p in network.named_parameters() if "norm" not in name]
    assert sum(p.numel() for p in convolutions) == pytest.approx(2_000_000, rel=0.01)
    assert sized.words["build"] == "Balsiger2020"
    with pytest.raises(InputError, match="can be chosen for ours and balsiger2020, not for fang2019"):
        recipes.recipe(TrainingSettings("fang2019", receptive_field=9), WATER_FAT)
    with pytest.raises(InputError, match="odd number of pixels, not 8"):
        recipes.recipe(TrainingSettings("balsiger2020", receptive_field=8), WATER_FAT).make(
            data.basis, data.sequence, 5
        )


def test_variants_of_fang_2019_are_built_and_those_of_others_are_not():
    sequence = short_fisp()
    basis = compressed_basis(sequence, RELAXATION.dictionary(sequence).atoms)
    k = len(basis.te_ms)

    def made(**chosen):
        method = recipes.recipe(TrainingSettings("fang2019", maps="t1", **chosen), RELAXATION)
        return method, *method.make(basis, sequence, 1)

    for chosen, words, channels, inputs in [
        ({"features": 8}, "Fang2019", 2 * 60, 8),
        ({"variant": "magnitude", "features": 8}, "Fang2019", 60, 8),
        ({"variant": "unet"}, "SpatialOnly", 2 * 60, 2 * 60),
        ({"variant": "vectors", "features": 3}, "SpatialOnly", 2 * k, 2 * 3),
        ({"variant": "vectors"}, "SpatialOnly", 2 * k, 2 * k),
    ]:
        method, normalisation, network = made(**chosen)
        assert method.words["build"] == words
        assert (network.channels, network.unet.down[0].in_channels) == (channels, inputs)
        of_slice = normalisation(torch.randn(2 * k, 4, 4), torch.ones(4, 4, dtype=torch.bool), 1.0)
        assert len(of_slice) == network.channels
        assert (method.first_step is None) == (words == "SpatialOnly")
    method, _, network = made(variant="features", features=8)
    assert (network.border, network.last.in_channels, method.first_step) == (0, 8, None)
    with pytest.raises(InputError, match=f"cannot see {k + 1} images of {k}"):
        made(variant="vectors", features=k + 1)
    with pytest.raises(InputError, match="The U-Net alone has no features"):
        made(variant="unet", features=8)
    with pytest.raises(InputError, match="is trained in one step"):
        made(variant="unet", first_epochs=2)
    with pytest.raises(InputError, match="can be chosen for fang2019, not for ours"):
        recipes.recipe(TrainingSettings("ours", features=8), RELAXATION)


def test_relative_differences_of_logarithmic_maps_are_differences():
    assert recipes.recipe(TrainingSettings("fang2019"), RELAXATION).loss is absolute_difference
    assert recipes.recipe(TrainingSettings("fang2019"), WATER_FAT).loss is relative_difference


def test_a_draw_chooses_subjects_by_its_number(training_set):
    """All three draws of one among three training subjects occur, and each is the same every time."""

    def drawn(draw):
        training, held_out = split(training_set, TrainingSettings(validation=1, subjects=1, draw=draw))
        assert held_out.seeds == [3]
        return training.seeds[0]

    assert {drawn(draw) for draw in range(20)} == {0, 1, 2}
    assert [drawn(draw) for draw in range(20)] == [drawn(draw) for draw in range(20)]
    first, _ = split(training_set, TrainingSettings(validation=1, subjects=2))
    assert first.seeds == [0, 1]
    with pytest.raises(InputError, match="A draw takes a number of subjects"):
        split(training_set, TrainingSettings(validation=1, draw=1))


@pytest.mark.parametrize("name", ["subjects", "epochs", "first_epochs", "learning_rate", "patch", "per_slice", "batch"])
def test_zero_is_no_stand_in_for_the_paper_s(name):
    with pytest.raises(InputError, match=f"The setting {name} must be .* from 1.*, not 0"):
        TrainingSettings(**{name: 0})


def test_unknown_maps_are_refused():
    with pytest.raises(InputError, match="no map 't2' to train"):
        recipes.trained_parameters(TrainingSettings(maps="ff,t2"), WATER_FAT)


def test_one_network_a_property(training_set, tmp_path):
    best = train(tmp_path, training_set, settings("cohen2018", maps="t1h2o", epochs=1))
    assert list(best.nrmse) == ["t1h2o"]
