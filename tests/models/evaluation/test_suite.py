"""The stress suite: its conditions, its sets, the methods that it leaves out, and its table."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from toy_network import toy_contract, toy_module

from spokestream.errors import InputError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, ParameterMaps
from spokestream.gadgets.network.archive import save_archive
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.evaluation.evaluating import evaluate
from spokestream.models.evaluation.reconstructors import MATCHING, REFINED, Reconstructor, again, reconstructor
from spokestream.models.evaluation.report import write_report
from spokestream.models.evaluation.results import results
from spokestream.models.evaluation.suite.conditions import STRESS, StressCondition, chosen
from spokestream.models.evaluation.suite.running import evaluate_suite
from spokestream.pipelines.cli.commands import evaluate as evaluate_command
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT, WaterFat

SIZE = {"subjects": 1, "matrix": 48}


@pytest.fixture(scope="module")
def conditions(sequence_file, tmp_path_factory):
    """Two conditions of a short train, and one of a train that is shorter still."""
    other = tmp_path_factory.mktemp("other") / "other.toml"
    other.write_text(Path(sequence_file).read_text().replace("spokes = 96", "spokes = 80"))
    few = {"coils": (3, 3), "virtual_coils": 3, "noise": (0.05, 0.05), "sequence": sequence_file}
    return (
        StressCondition("usual", "a usual scan", few),
        StressCondition("swollen", "a scan of oedema", few | {"change": "oedema"}),
        StressCondition("other", "another train", few | {"sequence": str(other)}),
    )


@pytest.fixture(scope="module")
def sets(conditions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    evaluate_suite(folder, conditions, [constant("right")], **SIZE)
    return folder


@pytest.fixture
def without_figures(monkeypatch):
    """Figures take seconds, and are those of every evaluation."""
    monkeypatch.setattr("spokestream.models.evaluation.report.condition_figures", lambda condition: {})


class Constant(Gadget[Fingerprints, ParameterMaps]):
    """Gives the same maps everywhere."""

    accepts = (Fingerprints,)

    def feed(self, message):
        values = {"ff": 0.5, "t1h2o": 1300, "t1fat": 350, "deltaf": 0, "b1": 0.8}
        maps = {name: np.full(message.foreground.shape, value, np.float32) for name, value in values.items()}
        yield ParameterMaps(maps, message.slice, message.geometry, message.foreground, message)


def coarse_dictionary(model, sequence, field_t=None):
    """Of so short a train, matching over the whole grid takes long."""
    axes = np.arange(600, 2001, 100), np.array([250, 350]), np.arange(0.3, 1.05, 0.1), np.arange(-100, 101, 20)
    return build_dictionary(sequence, Grid(*(axis.astype(float) for axis in axes)))


def constant(name):
    return Reconstructor(name, lambda *_: Constant())


def test_every_condition_can_be_scanned_by_the_full_path():
    assert len({condition.name for condition in STRESS}) == len(STRESS) == 20
    for condition in STRESS:
        settings = condition.data_settings(10, 1)
        assert (settings.path, settings.seeds) == ("full", range(5000, 5010))
        protocol = settings.exam(5000).protocol()
        WATER_FAT.check(protocol.sequence)


def test_what_a_condition_does_not_name_is_as_in_the_default():
    default = STRESS[0].data_settings(1, 1).recipe
    assert STRESS[0].name == "default"
    for condition in STRESS:
        mine = condition.data_settings(1, 1).recipe
        different = {name for name in mine.keys() | default.keys() if mine.get(name) != default.get(name)}
        assert different == condition.settings.keys()


def test_the_train_of_its_own_is_none_of_the_presets():
    own = load_sequence(chosen(["own-train"])[0].data_settings(1, 1).sequence)
    assert len(own) == 1120
    assert sorted(own.echo_times_ms) == [2.3, 3.4, 4.6]


def test_a_smaller_matrix_keeps_the_ratio_of_the_pixels():
    sizes = {c.name: c.data_settings(1, 1, 105).matrix for c in chosen(["default", "coarse-pixels", "fine-pixels"])}
    assert sizes == {"default": 105, "coarse-pixels": 77, "fine-pixels": 115}
    assert chosen(["fine-pixels"])[0].data_settings(1, 1).matrix == 384


def test_conditions_are_chosen_by_name():
    assert [c.name for c in chosen(["oedema", "default"])] == ["default", "oedema"]
    assert chosen([]) == STRESS
    with pytest.raises(InputError, match="There is no condition 'edema'; there are default, no-noise"):
        chosen(["default", "edema"])


def test_sets_are_made_once_and_hold_the_change(sets, conditions):
    usual, swollen = TrainingSet(sets / "usual"), TrainingSet(sets / "swollen")
    assert usual.seeds == swollen.seeds == [5000]
    labels, names = swollen.labels(0)
    inside = labels == names.index("oedema")
    more = (swollen[0]["t1h2o"] - usual[0]["t1h2o"]).numpy()
    assert more.max() == pytest.approx(400, rel=1e-5)
    assert np.array_equal(more > 0, inside)
    assert not np.array_equal(swollen[0]["fingerprints"], usual[0]["fingerprints"])
    times = {path: path.stat().st_mtime_ns for path in sets.rglob("*.h5")}
    steps = []
    evaluate_suite(sets, conditions, [constant("mine")], show=lambda *step: steps.append(step), **SIZE)
    assert {path: path.stat().st_mtime_ns for path in sets.rglob("*.h5")} == times
    assert steps[0] == (1, 3, "usual: subjects")
    assert steps[-1] == (3, 3, "slices")


def test_a_network_of_another_train_is_left_out_with_the_reason(sets, conditions, tmp_path, without_figures):
    data = TrainingSet(sets / "usual")
    contract = toy_contract(
        sequence=data.sequence, basis=data.basis, channels=2 * len(data.basis.te_ms), tile=16, training={}
    )
    save_archive(tmp_path / "toy.pt", toy_module(contract), contract)
    toy = reconstructor(str(tmp_path / "toy.pt"), device="cpu", precision="float32")
    steps = []
    evaluation = evaluate_suite(
        sets, conditions, [toy, constant("constant")], show=lambda *step: steps.append(step), **SIZE
    )
    assert steps[-1] == (6, 6, "slices")
    refused = {condition.name: condition.refused for condition in evaluation.conditions}
    assert refused["usual"] == refused["swollen"] == {}
    assert refused["other"].keys() == {"toy"}
    found = write_report(tmp_path / "report", evaluation)
    rows = {(row["condition"], row["method"]) for row in found["summary"]}
    assert rows == {
        ("usual", "toy"), ("usual", "constant"), ("swollen", "toy"), ("swollen", "constant"), ("other", "constant")
    }  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"other, toy: {refused['other']['toy'][:40]}" in page
    assert "a scan of oedema" in page
    assert "kept, 1.4 to 2.8 pixels" in page
    assert json.loads((tmp_path / "report" / "results.json").read_text())["summary"] == found["summary"]


def test_large_errors_that_are_flagged_are_counted(sets):
    """The constant map errs where it is known to; the flags are those of the physics check."""
    (condition,) = evaluate([sets / "usual"], [constant("constant")], threads=1).conditions
    item = TrainingSet(sets / "usual")[0]
    where = tissue(item).numpy()
    wrong = where & (item["ff"].numpy() < 0.7) & (np.abs(item["t1h2o"].numpy() - 1300) > 150)
    large, caught = condition.verdicts["constant"].large["t1h2o"]
    assert large == np.count_nonzero(wrong) > 0
    assert 0 < caught <= large
    rows = {
        row["map"]: row for row in results(evaluate([sets / "usual"], [constant("constant")], threads=1))["summary"]
    }
    assert rows["t1h2o"]["caught"] == caught / large
    assert rows["ff"]["caught"] is None
    assert rows["t1h2o"]["rmse"] == condition.verdicts["constant"].errors["t1h2o"]["ranked"].rmse
    assert rows["t1h2o"]["within"] == [None, None]
    assert rows["b1"]["kept"] == []
    assert len(rows["t1h2o"]["kept"]) == 5


def test_iterative_images_are_a_condition_of_their_own(conditions, tmp_path, monkeypatch):
    """Off-resonance and B1 by matching are nearer to the truth in them than in images of the adjoint."""
    monkeypatch.setattr(WaterFat, "dictionary", coarse_dictionary)
    both = evaluate_suite(tmp_path, conditions[:1], [reconstructor(MATCHING)], images=("adjoint", "iterative"), **SIZE)
    assert [(c.name, c.about) for c in both.conditions] == [
        ("usual", "a usual scan"), ("usual-iterative", "a usual scan")
    ]  # fmt: skip
    found = {(row["condition"], row["map"]): row["rmse"] for row in results(both)["summary"]}
    assert "images" not in TrainingSet(tmp_path / "usual").recipe
    assert TrainingSet(tmp_path / "usual-iterative").recipe["images"] == "iterative"
    for name in ("deltaf", "b1"):
        assert found["usual-iterative", name] < 0.85 * found["usual", name]


def test_refined_matching_is_better_and_gives_standard_deviations(sets, monkeypatch):
    monkeypatch.setattr(WaterFat, "dictionary", coarse_dictionary)
    methods = [reconstructor(what) for what in (MATCHING, MATCHING + REFINED)]
    assert [m.name for m in methods] == ["matching", "matching, refine=on"]
    assert again(methods[1].origin).refine == "on"
    found = {(r["method"], r["map"]): r for r in results(evaluate([sets / "usual"], methods, threads=1))["summary"]}
    assert found["matching, refine=on", "deltaf"]["rmse"] < 0.8 * found["matching", "deltaf"]["rmse"]
    assert found["matching", "deltaf"]["within"] == [None, None]
    one, two = found["matching, refine=on", "deltaf"]["within"]
    assert 0 < one < two <= 1


def test_the_command_runs_the_suite_or_says_what_it_takes(tmp_path, monkeypatch, without_figures):
    monkeypatch.setattr("spokestream.models.evaluation.reconstructors.reconstructor", lambda *_: constant("constant"))
    parser = argparse.ArgumentParser()
    evaluate_command.options(parser)
    arguments = ["--suite", "stress", "--conditions", "low-b1", "--subjects", "1", "--matrix", "48"]
    evaluate_command.run(parser.parse_args([*arguments, "-o", str(tmp_path / "report")]))
    found = json.loads((tmp_path / "report" / "results.json").read_text())
    assert list(found["conditions"]) == ["low-b1"]
    assert found["conditions"]["low-b1"]["settings"]["matrix"] == 48
    assert TrainingSet(tmp_path / "report" / "sets" / "low-b1")[0]["b1"].max() == pytest.approx(0.5)
    for wrong, reason in (
        ([], "either folders"),
        ([str(tmp_path), "--suite", "stress"], "either folders"),
        ([str(tmp_path), "--matrix", "48"], "--matrix belongs to --suite stress"),
    ):
        with pytest.raises(InputError, match=reason):
            evaluate_command.run(parser.parse_args(wrong))
