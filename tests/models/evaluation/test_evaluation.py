"""Evaluation of reconstructors whose errors are known, on a small set; and its report."""

import argparse
import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from distributed import LocalCluster
from small_scan import gradient_spoiled
from toy_network import toy_contract, toy_module

from spokestream.errors import FileError, InputError, ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import Fingerprints, ParameterMaps
from spokestream.gadgets.network.archive import save_archive
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.evaluation.evaluating import evaluate, regions_of_interest
from spokestream.models.evaluation.metrics import nrmse
from spokestream.models.evaluation.order import mean_ranks
from spokestream.models.evaluation.published import PUBLISHED
from spokestream.models.evaluation.reconstructors import MATCHING, Reconstructor, again, reconstructor
from spokestream.models.evaluation.report import error_text, is_worse, write_report
from spokestream.models.evaluation.results import results
from spokestream.models.evaluation.scores import Score, thirds
from spokestream.models.evaluation.subject_errors import HEAD, WHOLE
from spokestream.pipelines.cli.commands import evaluate as evaluate_command
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT, WaterFat


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "held-out"
    make_training_set(folder, replace(settings, subjects=2, first_seed=40, matrix=48), "synchronous")
    return folder


class Oracle(Gadget[Fingerprints, ParameterMaps]):
    """Knows the truth of a set, slice after slice, and errs by a constant."""

    accepts = (Fingerprints,)

    def __init__(self, data, offsets, deviations):
        self.data, self.offsets, self.deviations, self.index = data, offsets, deviations, 0

    def feed(self, message):
        item = self.data[self.index]
        self.index += 1
        maps = {name: item[name].numpy() + np.float32(self.offsets.get(name, 0)) for name in WATER_FAT.names}
        for name, deviation in self.deviations.items():
            maps[f"{name}_std"] = np.full(message.foreground.shape, deviation, np.float32)
        yield ParameterMaps(maps, message.slice, message.geometry, message.foreground, message)


def oracle(name, folder, offsets=None, deviations=None, **fields):
    return Reconstructor(name, lambda *_: Oracle(TrainingSet(folder), offsets or {}, deviations or {}), **fields)


def test_errors_that_are_known_are_found(folder):
    steps = []
    evaluation = evaluate(
        [folder],
        [oracle("right", folder), oracle("wrong", folder, {"t1h2o": 50, "ff": -0.1}, {"t1h2o": 25})],
        threads=1,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(n, 8) for n in range(1, 9)]
    found = results(evaluation)["conditions"]["held-out"]["reconstructors"]
    for name in WATER_FAT.names:
        assert found["right"]["errors"][name]["ranked"]["rmse"] == 0
        assert found["right"]["against_truth"]["ssim"][name]["mean"] == pytest.approx(1)
        assert found["right"]["against_truth"]["nrmse"][name]["mean"] == 0
    for stratum, error in found["wrong"]["errors"]["t1h2o"].items():
        assert error["bias"] == pytest.approx(50, rel=1e-4), stratum
        assert error["rmse"] == pytest.approx(50, rel=1e-4), stratum
    assert found["wrong"]["errors"]["ff"]["ranked"]["bias"] == pytest.approx(-0.1, rel=1e-4)
    regions = found["wrong"]["against_truth"]["regions"]["t1h2o"]
    assert (regions["r2"], regions["slope"]) == (pytest.approx(1), pytest.approx(1))
    assert (regions["bias"], regions["limits"]) == (pytest.approx(50), pytest.approx([50, 50], abs=0.1))
    assert found["wrong"]["calibration"]["t1h2o"]["error_over_std"] == pytest.approx(2, rel=1e-4)
    assert "against_matching" not in found["right"]


def test_errors_of_t1_and_t2_are_told_by_tissue(tmp_path):
    """Bias and RMSE of a reconstructor that errs by 30 ms in white matter and by nothing elsewhere."""
    (tmp_path / "fisp.toml").write_text(gradient_spoiled(60))
    settings = DataSettings(
        subjects=1, first_seed=3, slices=1, matrix=48, coils=(3, 3), anatomies="brain",
        sequence=str(tmp_path / "fisp.toml"), path="full",
    )  # fmt: skip
    folder = tmp_path / "brains"
    make_training_set(folder, settings, "synchronous")
    data = TrainingSet(folder)
    labels, names = data.labels(0)

    class WrongInWhiteMatter(Gadget):
        accepts = (Fingerprints,)

        def feed(self, message):
            maps = {name: data[0][name].numpy().copy() for name in ("t1", "t2")}
            maps["t1"][labels == names.index("white matter")] += 30
            yield ParameterMaps(maps, message.slice, message.geometry, message.foreground, message)

    evaluation = evaluate([folder], [Reconstructor("mine", lambda *_: WrongInWhiteMatter())], threads=1)
    condition = results(evaluation)["conditions"]["brains"]
    errors = condition["reconstructors"]["mine"]["errors"]
    pure = tissue(data[0]).numpy() & (data[0]["ff"].numpy() == 0)
    for name in ("white matter", "grey matter", "spinal fluid"):
        assert errors["t1"][name]["voxels"] == np.count_nonzero(pure & (labels == names.index(name))) > 0
    assert errors["t1"]["white matter"]["bias"] == pytest.approx(30, rel=1e-5)
    assert errors["t1"]["white matter"]["rmse"] == pytest.approx(30, rel=1e-5)
    assert errors["t1"]["grey matter"]["rmse"] == errors["t2"]["white matter"]["rmse"] == 0
    assert errors["t1"]["ranked"]["voxels"] == np.count_nonzero(pure)  # no voxel that holds fat
    assert "white matter" in condition["strata"]
    assert "scalp fat" not in condition["strata"]
    page = (tmp_path / "report" / "report.html", write_report(tmp_path / "report", evaluation))[0].read_text()
    assert "Errors by tissue" in page
    assert "fat fraction" not in page.split("Errors by tissue")[1].split("</table>")[0]


def test_strata_are_of_the_true_fat_fraction(folder):
    data = TrainingSet(folder)
    found = results(evaluate([folder], [oracle("right", folder)], threads=1))["conditions"]["held-out"]
    ff = np.concatenate(
        [item["ff"][item["foreground"] & (item["pd"] > 0)].numpy() for item in map(data.__getitem__, range(4))]
    )
    errors = found["reconstructors"]["right"]["errors"]
    assert errors["t1h2o"]["ranked"]["voxels"] == np.sum(ff < 0.7)
    assert errors["t1fat"]["ranked"]["voxels"] == np.sum(ff >= 0.3)
    assert errors["b1"]["FF 0.3 to 0.5"]["voxels"] == np.sum((ff >= 0.3) & (ff < 0.5))
    counts = [errors["t1h2o"][stratum.name]["voxels"] for stratum in thirds(WATER_FAT, ff)]
    assert sum(counts) == np.sum(ff < 0.7)
    assert max(counts) - min(counts) <= 2


def test_scores_are_taken_where_a_map_means_something():
    rng = np.random.default_rng(1)
    shape = (2, 15, 17)
    truth = {name: rng.uniform(1, 2, shape).astype(np.float32) for name in WATER_FAT.names}
    truth["ff"] = rng.uniform(0, 1, shape).astype(np.float32)
    tissue = rng.random(shape) < 0.8
    maps = {name: values + rng.normal(0, 0.1, shape).astype(np.float32) for name, values in truth.items()}
    maps["t1h2o"][truth["ff"] >= 0.7] = 99  # of no consequence
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    score = Score(WATER_FAT)
    score.add(maps, truth, tissue, labels, [1, 3])
    lean = tissue & (truth["ff"] < 0.7)
    assert score.by_subject["nrmse"]["t1h2o"] == [nrmse(maps["t1h2o"], truth["t1h2o"], lean)]
    assert score.by_subject["nrmse"]["b1"] == [nrmse(maps["b1"], truth["b1"], tissue)]
    first = lean[0] & (labels[0] == 3)
    assert score.regions["t1h2o"][0][:, 1] == pytest.approx(
        [maps["t1h2o"][0][first].mean(), truth["t1h2o"][0][first].mean()]
    )


def test_regions_are_muscles_where_an_anatomy_has_them():
    assert regions_of_interest(("air", "skin", "right biceps", "fascia", "left biceps")) == [2, 4]
    assert regions_of_interest(("air", "grey matter", "white matter")) == [1, 2]


def test_subjects_that_a_network_has_learnt_from_are_refused(folder):
    known = oracle("parrot", folder, trained_on=frozenset((3, 41)))
    with pytest.raises(InputError, match=r"'parrot' was trained on subject 41 of .*held-out"):
        evaluate([folder], [known])


def test_a_network_for_iterative_images_takes_no_set_of_the_adjoint(folder):
    reason = r"trained on iterative images, not on the adjoint ones here"
    sharp = oracle("sharp", folder, images="iterative")
    with pytest.raises(ScanError, match=reason):
        evaluate([folder], [sharp], threads=1)
    (condition,) = evaluate([folder], [oracle("known", folder), sharp], threads=1, leave_out=True).conditions
    assert reason in condition.refused["sharp"]


def test_a_set_of_another_demodulation_than_a_networks_is_refused(folder):
    with pytest.raises(InputError, match=r"'tuned' was made for a demodulation of 0 Hz, the set in .* with 200 Hz"):
        evaluate([folder], [oracle("tuned", folder, demodulation_hz=0.0)])


def test_names_that_occur_twice_are_refused(folder):
    with pytest.raises(InputError, match="Two of the reconstructors are called 'right'"):
        evaluate([folder], [oracle("right", folder), oracle("right", folder)])
    with pytest.raises(InputError, match="Two of the folders are called 'held-out'"):
        evaluate([folder, folder / "." / ".." / "held-out"], [oracle("right", folder)])


@pytest.fixture(scope="module")
def archive(folder, tmp_path_factory):
    """A random network of the set's own basis, which learnt from nobody here."""
    data = TrainingSet(folder)
    training = {"learnt": [0, 1], "validated": [2], "settings": {"network": "fang2019"}, "hours": 7.25}
    contract = toy_contract(
        sequence=data.sequence, basis=data.basis, channels=2 * len(data.basis.te_ms), tile=16, training=training
    )
    path = tmp_path_factory.mktemp("archives") / "toy.pt"
    save_archive(path, toy_module(contract), contract)
    return path


def test_an_archive_says_what_it_has_learnt_from(archive):
    network = reconstructor(str(archive), device="cpu", precision="float32")
    assert (network.name, network.network, network.trained_on) == ("toy", "fang2019", {0, 1, 2})
    assert network.about["training"]["hours"] == 7.25
    assert network.about["precision"] == "float32"
    assert len(network.about["digest"]) == 12


@pytest.mark.parametrize("what", ["no-such-network", "missing.pt", "../evaluation"])
def test_a_network_that_is_not_there_is_one_sentence(what):
    with pytest.raises((InputError, FileError), match="There is no network"):
        reconstructor(what)


def coarse_dictionary(model, sequence, field_t=None):
    """Of so short a train, matching over the whole grid takes long."""
    axes = np.arange(600, 2001, 100), np.array([250, 350]), np.arange(0.3, 1.05, 0.1), np.arange(-100, 101, 20)
    return build_dictionary(sequence, Grid(*(axis.astype(float) for axis in axes)))


def test_the_command_writes_one_page_and_all_numbers(folder, archive, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(WaterFat, "dictionary", coarse_dictionary)
    parser = argparse.ArgumentParser()
    evaluate_command.options(parser)
    output = tmp_path / "report"
    evaluate_command.run(
        parser.parse_args(
            [str(folder), "--with", MATCHING, "--with", str(archive), "-o", str(output), "--threads", "1"]
        )
    )
    found = json.loads((output / "results.json").read_text())
    verdicts = found["conditions"]["held-out"]["reconstructors"]
    assert verdicts.keys() == {MATCHING, "toy"}
    assert verdicts["toy"]["against_matching"]["nrmse"].keys() == {"ff", "t1h2o", "deltaf"}
    assert "against_matching" not in verdicts[MATCHING]
    assert verdicts["toy"]["flagged_share"] is None  # three maps are too few for the physics check
    assert 0 <= verdicts[MATCHING]["flagged_share"] < 1
    assert verdicts["toy"]["calibration"].keys() == {"ff"}
    assert is_worse(found, "held-out", "toy", "ff")  # it has learnt nothing
    assert not is_worse(found, "held-out", MATCHING, "ff")
    assert error_text(found, "held-out", "toy", "b1") == "–"
    page = (output / "report.html").read_text()
    assert page.count("▲</td>") == sum(is_worse(found, "held-out", "toy", name) for name in WATER_FAT.names)
    pictures = {"maps", "regions-matching", "regions-toy", "blurriness", "calibration"}
    assert {path.name for path in output.glob("*.png")} == {f"held-out-{name}.png" for name in pictures}
    assert '<td class="text">7.25</td>' in page
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "://" not in page.replace("https://doi.org", "")  # nothing is fetched
    with (output / "subjects.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == HEAD
    assert {tuple(row[:3]) for row in rows} == {
        ("held-out", subject, method) for subject in ("40", "41") for method in (MATCHING, "toy")
    }
    assert {row[3]: row[4] for row in rows} == {"ff": "1", "t1h2o": "ms", "t1fat": "ms", "deltaf": "Hz", "b1": "1"}
    shown = capsys.readouterr().out
    assert "held-out: RMSE against the truth" in shown
    assert "report.html" in shown


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def without_seconds(found):
    if isinstance(found, dict):
        return {name: without_seconds(value) for name, value in found.items() if name != "seconds_per_slice"}
    return [without_seconds(value) for value in found] if isinstance(found, list) else found


def test_workers_find_the_same_numbers(folder, archive, cluster, monkeypatch):
    """Bit for bit, of matching and of a network, for any number of threads, and in the same order."""
    monkeypatch.setattr(WaterFat, "dictionary", coarse_dictionary)
    both = [reconstructor(what, device="cpu", precision="float32") for what in (MATCHING, str(archive))]
    steps = []
    alone = evaluate([folder], both, threads=2)
    spread = evaluate([folder], both, 1, lambda *step: steps.append(step), cluster)
    assert steps == [(n, 8) for n in range(1, 9)]
    assert without_seconds(results(spread) | {"threads": 2}) == without_seconds(results(alone))
    assert spread.conditions[0].by_subject == alone.conditions[0].by_subject
    for name, verdict in alone.conditions[0].verdicts.items():
        for quantity, values in verdict.example.items():
            assert np.array_equal(spread.conditions[0].verdicts[name].example[quantity], values), (name, quantity)


def test_a_reconstructor_of_a_program_is_not_for_workers(folder, cluster):
    with pytest.raises(InputError, match="Workers cannot make 'mine', which is neither matching nor an archive"):
        evaluate([folder], [oracle("mine", folder)], scheduler=cluster)


def test_a_worker_that_finds_another_network_refuses(archive):
    origin = reconstructor(str(archive), device="cpu", precision="float32").origin
    assert origin is not None
    assert again(origin).origin == origin
    with pytest.raises(FileError, match=r"A worker finds another network as .*toy\.pt"):
        again(replace(origin, digest="0" * 12))


def test_the_errors_of_a_subject_are_those_of_its_tissues(folder):
    evaluation = evaluate([folder], [oracle("mine", folder, {"ff": 0.25, "t1h2o": -32})], threads=1)
    (condition,) = evaluation.conditions
    data = TrainingSet(folder)
    found = {(e.subject, e.map, e.tissue): e.error for e in condition.by_subject}
    for z, subject in enumerate((40, 41)):
        indices = range(z * len(data) // 2, (z + 1) * len(data) // 2)
        items, labels = [data[i] for i in indices], np.stack([data.labels(i)[0] for i in indices])
        mask = np.stack([tissue(item).numpy() for item in items])
        fat_fraction = np.stack([item["ff"].numpy() for item in items])
        assert found[subject, "ff", WHOLE].n == mask.sum()
        parts = [e.n for (s, name, t), e in found.items() if (s, name) == (subject, "ff") and t != WHOLE]
        assert len(parts) > 3
        assert sum(parts) == (mask & (labels > 0)).sum()  # some voxels at the surface have no label
        names = data.labels(0)[1]
        lean = {t: n for k, t in enumerate(names) if k and (n := (mask & (labels == k) & (fat_fraction < 0.7)).sum())}
        assert {t: e.n for (s, name, t), e in found.items() if (s, name) == (subject, "t1h2o")} == {
            WHOLE: (mask & (fat_fraction < 0.7)).sum(), **lean,
        }  # fmt: skip
    for (_, name, _), error in found.items():
        offset = {"ff": 0.25, "t1h2o": -32}.get(name, 0)
        assert (error.bias, error.rmse) == pytest.approx((offset, abs(offset)), abs=1e-4)


def test_published_values_stand_beside_their_counterpart(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "spokestream.models.evaluation.report.condition_figures", lambda condition: {}
    )  # they take seconds
    like = oracle("mine", folder, {"ff": 0.01}, network="balsiger2020", about={"description": "<b>bold</b>"})
    write_report(tmp_path, evaluate([folder], [like], threads=1))
    page = (tmp_path / "report.html").read_text()
    for metric in ("nrmse", "psnr", "ssim", "r2"):
        for value in PUBLISHED["balsiger2020"][metric].values():
            assert f"<span class=paper>{value:g}</span>" in page
    assert "Table 2" in page
    assert "<b>bold" not in page


def test_networks_are_ordered_by_their_ranks_over_the_maps_that_all_have():
    errors = {"a": {"ff": 0.2, "b1": 3.0, "t1fat": 0.1}, "b": {"ff": 0.1, "b1": 3.0}, "c": {"ff": 0.3, "b1": 9.0}}
    assert mean_ranks(errors) == {"b": 1.25, "a": 1.75, "c": 3.0}
    assert list(mean_ranks(errors)) == ["b", "a", "c"]
    assert mean_ranks({"a": {"ff": None}, "b": {"ff": 1.0}}) == {}
    order = mean_ranks({name: metrics["nrmse"] for name, metrics in PUBLISHED.items()})
    assert list(order)[:3] == ["balsiger2020", "fang2019", "oksuz2019"]
    assert order["balsiger2020"] == 1.0


def test_the_report_puts_the_papers_order_beside_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "spokestream.models.evaluation.report.condition_figures", lambda condition: {}
    )  # they take seconds
    about = {"training": {"epochs": 5}}
    worst_first = [
        oracle("a", folder, dict.fromkeys(WATER_FAT.names, 0.2), network="balsiger2020"),
        oracle("b", folder, dict.fromkeys(WATER_FAT.names, 0.1), network="hoppe2017", about=about),
    ]
    write_report(tmp_path / "both", evaluate([folder], worst_first, threads=1))
    page = (tmp_path / "both" / "report.html").read_text()
    rows = "<td>b</td><td>1.0</td><td>2.0</td><td>5</td><td>–</td></tr><tr><td>a</td><td>2.0</td><td>1.0</td>"
    assert rows in page
    write_report(tmp_path / "one", evaluate([folder], worst_first[:1], threads=1))
    assert "Mean rank" not in (tmp_path / "one" / "report.html").read_text()


def test_the_command_takes_threads_from_one(folder):
    parser = argparse.ArgumentParser()
    evaluate_command.options(parser)
    with pytest.raises(InputError, match="one thread or more, not 0"):
        evaluate_command.run(parser.parse_args([str(folder), "--threads", "0"]))
