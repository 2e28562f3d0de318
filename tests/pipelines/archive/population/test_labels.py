import shutil
from typing import Any

import nibabel
import numpy as np
import pytest

from spokestream.errors import FileError
from spokestream.pipelines.archive.population.labels import find_labels, read_labels
from spokestream.pipelines.archive.population.values import region_values
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.outputs import scan_maps
from spokestream.pipelines.files.replay import replay
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of an oblique scan of two slices, with its truth in the same folder."""
    folder = tmp_path_factory.mktemp("oblique")
    settings = SimulationSettings(matrix=32, coils=3, slices=2, noise=0.02, tilt_deg=(20.0, -10.0))
    simulate_scan(folder / "scan.h5", settings)
    replay(folder / "scan.h5", folder)
    return folder


@pytest.fixture(scope="module")
def maps(results):
    return scan_maps(read_map_file(results / "maps.h5")[0])


def write_labels(results, path, change=None, affine=None):
    """Labels on the grid of a map: 1 where the fat fraction is over 0.5, 7 in the rest of the second slice."""
    ff: Any = nibabel.load(results / "ff.nii.gz")
    values = ff.get_fdata()
    labels = np.where(values > 0.5, 1, 0).astype(np.int16)
    labels[..., 1][labels[..., 1] == 0] = 7
    labels = labels if change is None else change(labels)
    nibabel.save(nibabel.Nifti1Image(labels, ff.affine if affine is None else affine(ff.affine)), path)
    return path


def test_labels_drawn_on_a_map_give_the_values_of_its_voxels(results, maps, tmp_path):
    labels = read_labels(write_labels(results, tmp_path / "scan.nii.gz"), maps.images["ff"])
    assert labels.names == {1: "label 1", 7: "label 7"}
    assert np.array_equal(labels.numbers == 1, maps.valid["ff"] & (maps.volumes["ff"] > 0.5))
    rows = {(row.quantity, row.region): row for row in region_values(maps, labels)}
    fat = maps.volumes["ff"][maps.valid["ff"] & (maps.volumes["ff"] > 0.5)]
    assert rows["ff", "label 1"].voxels == fat.size > 20
    assert rows["ff", "label 1"].median == pytest.approx(np.median(fat))
    assert (rows["ff", "label 1"].lower, rows["ff", "label 1"].upper) == pytest.approx(
        tuple(np.percentile(fat, [25, 75]))
    )
    assert rows["ff", "label 7"].voxels == np.sum(maps.valid["ff"][1] & (maps.volumes["ff"][1] <= 0.5))
    assert rows["ff", "tissue"].voxels == maps.valid["ff"].sum()
    assert {quantity for quantity, _ in rows} == {"ff", "t1h2o", "t1fat", "deltaf", "b1"}


def test_the_truth_of_a_simulated_scan_names_its_tissues_and_their_values_are_near_it(results, maps):
    path = truth_path(results / "scan.h5")
    truth, labels = read_truth(path), read_labels(path, maps.images["ff"])
    rows = {(row.quantity, row.region): row for row in region_values(maps, labels)}
    (fat,) = (name for name in labels.names.values() if "subcutaneous" in name)
    true = np.median(truth.maps["ff"][truth.label == truth.names.index(fat)])
    assert rows["ff", fat].median == pytest.approx(true, abs=0.1)
    assert "air" not in {region for _, region in rows}


@pytest.mark.parametrize(
    ("change", "affine", "words"),
    [
        (lambda v: v[:-1], None, r"have \(31, 32, 2\) voxels, but the maps \(32, 32, 2\)"),
        (None, lambda a: a + 0.5 * np.eye(4, k=3), "lie on another grid"),
        (None, lambda a: a * [1, 1, 1.05, 1], "lie on another grid"),
        (None, lambda a: a * [-1, 1, 1, 1], "lie on another grid"),
        (lambda v: v + np.float32(0.5), None, "no whole numbers"),
        (lambda v: np.where(v == 1, np.nan, v), None, "no whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, affine, words, results, maps, tmp_path):
    path = write_labels(results, tmp_path / "scan.nii.gz", change, affine)
    with pytest.raises(FileError, match=words):
        read_labels(path, maps.images["ff"])


def test_what_is_no_nifti_file_is_refused(maps, thigh, tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"scan\.nii\.gz cannot be read"):
        read_labels(tmp_path / "scan.nii.gz", maps.images["ff"])
    with pytest.raises(FileError, match=r"have \(1, 32, 32\) voxels, but the maps \(2, 32, 32\)"):
        read_labels(truth_path(thigh), maps.images["ff"])


def test_labels_lie_under_the_name_of_the_scan(results, tmp_path):
    assert find_labels(tmp_path, "a/scan") is None
    (tmp_path / "a").mkdir()
    truth = shutil.copy(truth_path(results / "scan.h5"), tmp_path / "a/scan.truth.h5")
    assert find_labels(tmp_path, "a/scan") == truth
    assert find_labels(tmp_path, "a/scan") == truth
    drawn = write_labels(results, tmp_path / "a/scan.nii.gz")
    assert find_labels(tmp_path, "a/scan") == drawn
