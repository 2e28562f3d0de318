import json
import re

import h5py
import numpy as np
import pytest
from rich.console import Console

from spokestream.errors import FileError, InputError, SpokestreamError
from spokestream.pipelines.cli.commands.demo import RELAXATION_SCAN, run_demo, scan_settings
from spokestream.pipelines.files.truth import error_table, judged_voxels, map_errors, read_truth, write_comparison
from spokestream.simulator.simulation_settings import SimulationSettings

SHAPE = (2, 9, 11)


@pytest.fixture
def truth_file(tmp_path):
    """Left third muscle, middle third bone (of muscle's values), right third fat; air around."""
    label = np.zeros(SHAPE, np.uint8)
    label[:, 1:-1, 1:4], label[:, 1:-1, 4:7], label[:, 1:-1, 7:10] = 1, 2, 3
    ff = np.array([0, 0.4, 0.4, 0.9])[label]
    ff[:, 2] = np.where(label[:, 2] == 1, 0.1, ff[:, 2])
    values = {"ff": ff, "pd": label > 0, "t1h2o": 1400.0 * (label > 0), "t1fat": 350.0 * (label > 0)}
    with h5py.File(tmp_path / "x.truth.h5", "w") as file:
        for name, value in values.items():
            file[name] = value.astype(np.float32)
        file["label"] = label
        file["label"].attrs["names"] = json.dumps(["air", "muscle", "cortical bone", "fat"])
    return tmp_path / "x.truth.h5"


def reconstructed(truth):
    maps = {name: volume.copy() for name, volume in truth.maps.items()}
    maps["ff"][truth.tissue] += 0.01
    maps["t1h2o"][truth.tissue & ~truth.bone] += 50
    maps["t1h2o"][truth.bone] = 9000  # must not count
    maps["t1fat"] += np.where(np.arange(SHAPE[2]) % 2, 20, -20) * truth.tissue
    maps["correlation"] = np.ones(SHAPE, np.float32) * truth.tissue  # has no truth
    return {name: volume.astype(np.float32) for name, volume in maps.items()}


def test_bias_and_rmse_are_judged_where_a_map_means_something(truth_file):
    truth = read_truth(truth_file)
    rows = {(r.name, r.tissue): r for r in map_errors(reconstructed(truth), truth)}
    assert {name for name, _ in rows} == {"ff", "t1h2o", "t1fat"}
    assert rows["ff", "muscle"].voxels == rows["ff", "fat"].voxels == 2 * 7 * 3
    assert rows["ff", "fat"].bias == pytest.approx(0.01, rel=1e-3)
    assert (rows["t1h2o", "muscle"].bias, rows["t1h2o", "muscle"].rmse) == pytest.approx((50, 50))
    assert rows["t1h2o", "fat"].voxels == 0
    assert np.isnan(rows["t1h2o", "fat"].rmse)
    assert rows["t1fat", "muscle"].voxels == 2 * 6 * 3  # not where ff is 0.1
    assert rows["t1fat", "fat"].rmse == pytest.approx(20)
    assert rows["t1fat", "fat"].bias == pytest.approx(20 / 3)  # columns 7 and 9 against 8


def test_what_was_not_reconstructed_is_not_judged(truth_file):
    truth = read_truth(truth_file)
    maps = {name: volume.copy() for name, volume in reconstructed(truth).items()}
    for volume in maps.values():
        volume[0] = 0
    rows = {(r.name, r.tissue): r.voxels for r in map_errors(maps, truth)}
    assert rows["ff", "muscle"] == 7 * 3


def test_the_table_and_the_figure_come_out(truth_file, tmp_path):
    truth = read_truth(truth_file)
    console = Console(width=100, record=True)
    console.print(error_table(map_errors(reconstructed(truth), truth)))
    text = console.export_text()
    assert "Water T1 (ms)" in text
    assert "+50.0" in text
    assert "–" in text
    write_comparison(tmp_path / "demo.png", reconstructed(truth), truth)
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_a_demonstration_of_a_network_that_there_is_not_ends_before_it_is_simulated(tmp_path):
    folder, settings = tmp_path / "demo", SimulationSettings(matrix=32)
    for pipeline, parameters in (("mrf_t1ff_net", {"network": "theirs"}), ("mrf_t1ff", {"config": "theirs"})):
        with pytest.raises(SpokestreamError, match=r"There is no .* 'theirs'; known are"):
            run_demo(folder, settings, pipeline, parameters, 3.0, Console())
    assert not folder.exists()


def test_a_voxel_with_fat_has_no_single_t1_or_t2(tmp_path):
    label = np.array([[[0, 1, 1, 2]]], np.uint8)
    values = {"ff": [0, 0, 0.2, 0], "pd": label > 0, "t1h2o": [0, 800, 900, 1300], "t2h2o": [0, 80, 85, 110]}
    path = tmp_path / "x.truth.h5"
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = np.reshape(value, label.shape).astype(np.float32)
        file["label"] = label
        file["label"].attrs["names"] = json.dumps(["air", "white matter", "grey matter"])
    truth = read_truth(path)
    maps = {name: np.full(label.shape, 50, np.float32) for name in ("t1", "t2")}
    assert judged_voxels(maps, truth)["t1"].ravel().tolist() == [False, True, False, True]
    np.testing.assert_array_equal(truth.maps["t2"].ravel()[[1, 3]], [80, 110])
    assert not truth.purity.any()  # a file without purity knows of no pure voxel


@pytest.mark.parametrize(
    ("pipeline", "given", "expected"),
    [
        ("auto", {}, {}),
        ("auto", {"anatomy": "calf"}, {"anatomy": "calf"}),
        ("auto", {"anatomy": "brain"}, {**RELAXATION_SCAN, "anatomy": "brain"}),
        ("auto", {"anatomy": "nist", "matrix": 64}, {**RELAXATION_SCAN, "anatomy": "nist", "matrix": 64}),
        ("mrf_t1ff", {"anatomy": "brain"}, {"anatomy": "brain"}),
        ("mrf_t1t2", {"anatomy": "thigh"}, {**RELAXATION_SCAN, "anatomy": "thigh"}),
    ],
)
def test_a_demonstration_of_the_head_maps_t1_and_t2(pipeline, given, expected):
    assert scan_settings(pipeline, given) == expected


def test_wrong_shapes_and_files_are_refused_in_words(truth_file, tmp_path):
    truth = read_truth(truth_file)
    with pytest.raises(InputError, match="differ in shape"):
        map_errors({"ff": np.zeros((1, 9, 11), np.float32)}, truth)
    with pytest.raises(FileError, match="not the truth"):
        read_truth(tmp_path / "none.h5")


def test_the_demonstration_prints_the_warnings_of_the_node_and_the_errors(tmp_path):
    console = Console(width=160, record=True)
    settings = SimulationSettings(anatomy="brain", matrix=32, coils=3, sequence="fisp-song-200", missing=0.05)
    run_demo(tmp_path / "demo", settings, "mrf_t1t2", {}, 1000.0, console)
    warnings = json.loads((tmp_path / "demo/report.json").read_text())["warnings"]
    assert any("missing" in text or "lack" in text for text in warnings)
    lines = console.export_text()
    assert all(f"Warning: {text}"[:100] in lines for text in warnings)
    assert "white matter" in lines


def test_the_demonstration_compares_matching_its_refinement_and_the_network(tmp_path):
    console = Console(width=160, record=True)
    run_demo(tmp_path / "demo", SimulationSettings(matrix=48, coils=3), "auto", {}, 1000.0, console)
    text = console.export_text()
    (row,) = re.findall(r"Water T1 \(ms\), muscle\D+(\d+\.\d)\D+(\d+\.\d)\D+(\d+\.\d)", text)
    matched, refined, _ = map(float, row)
    shown = re.search(r"Water T1 \(ms\) +│ +[+-]\d+\.\d +│ +(\d+\.\d)", text)
    assert refined < matched
    assert refined == float(shown[1])  # the maps of the demonstration are those of the default
