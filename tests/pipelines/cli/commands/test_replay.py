"""`spokestream replay` of a simulated scan compares the maps with the truth beside it."""

import re

import h5py
import pytest

from spokestream.pipelines.cli.main import main
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "head.h5"
    settings = SimulationSettings(anatomy="brain", population="volunteers", matrix=48, coils=4, noise=0.0,
                                  sequence="fisp-song-200")  # fmt: skip
    simulate_scan(path, settings)
    return path


def replay(head, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["replay", str(head), "-o", str(tmp_path / "maps"), "--pipeline", "mrf_t1t2"]) == 0
    return capsys.readouterr()


def test_errors_by_tissue_are_printed(head, tmp_path, capsys, monkeypatch):
    printed = replay(head, tmp_path, capsys, monkeypatch).out
    white, pure_white = (line for line in printed.splitlines() if "white matter" in line and "T1 (ms)" in line)
    (voxels, true, found, *_), (pure, true_pure, found_pure, *_) = (
        [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?(?= )", line.split("white matter")[1])]
        for line in (white, pure_white)
    )
    assert 0 < pure < voxels
    assert abs(true_pure / 832 - 1) < 0.08  # three standard deviations between people
    assert abs(found / true - 1) < 0.1
    assert abs(found_pure / true_pure - 1) < 0.1


def test_a_truth_that_does_not_fit_is_named_and_a_scan_without_one_has_no_table(head, tmp_path, capsys, monkeypatch):
    scan = tmp_path / "scan.h5"
    scan.write_bytes(head.read_bytes())
    assert "by tissue" not in replay(scan, tmp_path, capsys, monkeypatch).out
    with h5py.File(truth_path(head)) as old, h5py.File(truth_path(scan), "w") as new:
        for name, values in old.items():
            new[name] = values[:, :40]
        new["label"].attrs["names"] = old["label"].attrs["names"]
    captured = replay(scan, tmp_path, capsys, monkeypatch)
    assert "The maps are not compared with scan.truth.h5: Maps and truth differ in shape" in captured.err
    assert "by tissue" not in captured.out
