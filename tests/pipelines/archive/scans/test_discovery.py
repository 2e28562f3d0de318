import shutil
from pathlib import Path

import h5py
import pytest

from spokestream.errors import InputError
from spokestream.pipelines.archive.scans.discovery import find_scans
from spokestream.pipelines.files.conversion import convert
from spokestream.pipelines.files.replay import replay


def test_scans_of_all_kinds_are_found_and_nothing_else(thigh, tmp_path, monkeypatch):
    for name in ("b/scan.h5", "a/scan.h5", ".hidden/scan.h5", "a/.scan.h5", "maps/inside.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(thigh, tmp_path / name)
    shutil.copy(thigh.with_name("thigh.truth.h5"), tmp_path / "a/scan.truth.h5")
    replay(thigh, tmp_path / "replayed")  # maps.h5 and pictures
    convert(thigh, tmp_path / "stream.mrd")
    (tmp_path / "stream.mrd").rename(tmp_path / "stream.of.unknown.ending")
    (tmp_path / "damaged.h5").write_bytes(thigh.read_bytes()[:5000])
    (tmp_path / "empty.mrd").touch()
    (tmp_path / "notes.txt").write_text("a scan")
    expected = ["a/scan", "b/scan", "damaged", "empty.mrd", "stream.of.unknown.ending"]
    assert [scan.name for scan in find_scans(tmp_path, tmp_path / "maps")] == expected
    monkeypatch.chdir(tmp_path)
    found = find_scans(Path(), Path("maps"))
    assert [scan.name for scan in found] == expected
    assert found[0].path == tmp_path / "a/scan.h5"


def test_a_file_with_maps_and_a_scan_is_a_scan(thigh, tmp_path):
    scan = shutil.copy(thigh, tmp_path / "scan.h5")
    with h5py.File(scan, "r+") as file:
        file.create_group("dataset/image_1000")
    assert [scan.name for scan in find_scans(tmp_path, tmp_path / "out")] == ["scan"]


def test_a_folder_without_scans_and_two_scans_of_one_name_are_refused(thigh, tmp_path):
    with pytest.raises(InputError, match="There is no scan in"):
        find_scans(tmp_path, tmp_path / "out")
    shutil.copy(thigh, tmp_path / "scan.h5")
    convert(thigh, tmp_path / "scan.mrd")
    (tmp_path / "scan.mrd").rename(tmp_path / "scan")
    with pytest.raises(InputError, match=r"scan and .*scan\.h5 would have the same folder of results"):
        find_scans(tmp_path, tmp_path / "out")
