"""`spokestream accept` on simulated scans: files, exit codes, and the baseline."""

import json

import numpy as np
import pytest
from placed_phantom import move_scan

from spokestream.pipelines.acceptance.layouts.layout import nist_layouts
from spokestream.pipelines.acceptance.placement.pose import Pose, centres_mm
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.truth import read_truth

FOV_MM, MATRIX = 220.0, 80


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """The two arrays of the NIST phantom in two slices, for T1 and T2."""
    path = tmp_path_factory.mktemp("nist") / "scan.h5"
    options = ["--anatomy", "nist", "--slices", "2", "--coils", "3", "--noise", "0.02", "--sequence", "fisp-fang-576"]
    assert main(["simulate", str(path), *options, "--matrix", str(MATRIX)]) == 0
    return path


@pytest.fixture(scope="module")
def accepted(scan):
    """The result of a test that passes, and the folder of its files."""
    folder = scan.parent / "acceptance"
    command = [
        "accept",
        str(scan),
        "--phantom",
        "nist",
        "-o",
        str(folder),
        "--baseline",
        str(scan.parent / "base.json"),
    ]
    assert main(command) == 0
    return json.loads((folder / "acceptance.json").read_text()), folder


def test_means_are_those_of_the_maps_in_the_spheres(accepted, scan):
    found, folder = accepted
    assert found["passed"]
    assert [(one["title"][:2], one["slice"]) for one in found["layouts"]] == [("T1", 2), ("T2", 1)]
    maps, truth = map_volumes(read_map_file(folder / "maps.h5")[0]), read_truth(scan.with_suffix(".truth.h5"))
    for one in found["layouts"]:
        z = one["slice"] - 1
        for row in (row for row in one["rows"] if row["shown"]):
            sphere = (truth.label[z] == row["number"] + 1) & (truth.purity[z] == 1)
            values = maps[row["map"]][z][sphere]
            # the circle leaves out a border that pure voxels include, so that means differ by their noise
            assert row["mean"] == pytest.approx(values.mean(), abs=3 * values.std() / np.sqrt(row["voxels"]) + 5)


def test_the_folder_holds_maps_figure_and_report(accepted):
    _, folder = accepted
    assert {"maps.h5", "t1.nii.gz", "report.json", "acceptance.json", "acceptance.png"} <= {
        path.name for path in folder.iterdir()
    }
    assert (folder / "acceptance.png").read_bytes()[:4] == b"\x89PNG"


def test_a_turned_and_shifted_scan_has_the_same_values_and_fails_only_where_the_baseline_was_changed(
    accepted, scan, tmp_path, capsys
):
    before, _ = accepted
    moved, pose = tmp_path / "moved.h5", Pose(13.0, -7.5, 100.0)
    moved.write_bytes(scan.read_bytes())
    move_scan(moved, pose, FOV_MM / MATRIX)
    base, changed = json.loads((scan.parent / "base.json").read_text()), tmp_path / "changed.json"
    base["means"]["T2 array of the ISMRM/NIST system phantom"]["t1"]["sphere 4"][0] *= 1.1
    changed.write_text(json.dumps(base))
    command = ["accept", str(moved), "--phantom", "nist", "-o", str(tmp_path / "maps"), "--baseline", str(changed)]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "values are outside their limits (T1 of sphere 4)." in said.err  # and no other
    assert "T1 (ms), since the baseline" in " ".join(said.out.split())
    assert json.loads(changed.read_text()) == base
    after = json.loads((tmp_path / "maps" / "acceptance.json").read_text())
    truth = pose.place(centres_mm(nist_layouts()[0].vials))
    for first, second in zip(before["layouts"], after["layouts"], strict=True):
        found = Pose(**second["pose"]).place(centres_mm(nist_layouts()[0].vials))
        assert np.linalg.norm(found - truth, axis=1).max() < 1.5  # pixels are 2.75 mm
        for one, other in zip(first["rows"], second["rows"], strict=True):
            if one["map"] == "t1" and one["shown"]:  # steps of the grid are 2.5 %, and both means have noise
                noise = np.hypot(*(row["sd"] / np.sqrt(row["voxels"]) for row in (one, other)))
                assert other["mean"] == pytest.approx(one["mean"], abs=0.025 * one["mean"] + 3 * noise)


def test_results_of_an_earlier_scan_do_not_stay_beside_new_maps(scan, tmp_path, capsys):
    folder, thigh, options = tmp_path / "maps", tmp_path / "thigh.h5", ["--matrix", "32", "--coils", "2"]
    folder.mkdir()
    (folder / "acceptance.json").write_text('{"passed": true}')
    assert main(["simulate", str(thigh), *options]) == 0
    assert main(["accept", str(thigh), "--phantom", "nist", "-o", str(folder)]) == 1
    assert "pixels of 11 mm leave too few inside it" in capsys.readouterr().err
    assert (folder / "maps.h5").exists()
    assert not (folder / "acceptance.json").exists()


def test_wrong_requests_are_refused_before_the_reconstruction(scan, tmp_path, capsys):
    folder = tmp_path / "maps"
    for extra, sentence in (
        (["--phantom", "acr"], "There is no phantom 'acr'"),
        (["--phantom", "squares"], "is the truth of another phantom, nist"),
        (["--phantom", "nist", "--baseline", str(scan)], "is no baseline of an acceptance test"),
        (["--phantom", "nist", "--set", "basis=none"], "basis"),
    ):
        assert main(["accept", str(scan), "-o", str(folder), *extra]) == 1
        assert sentence in capsys.readouterr().err
    assert not folder.exists()
