"""Files that are complete or absent. A limit on the size of files stands for a full disk: it needs no mount."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from spokestream.errors import FileError
from spokestream.whole_files import check_writable, whole_file, whole_folder, whole_hdf5

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import h5py, numpy as np
from spokestream.errors import FileError
from spokestream.whole_files import whole_hdf5

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
row = np.dtype([("n", "i4"), ("v", h5py.vlen_dtype(np.dtype("f4")))])
try:
    with whole_hdf5(Path(sys.argv[1])) as file:
        table = file.create_dataset("rows", (0,), row, maxshape=(None,), chunks=(64,))
        for block in range(10):
            rows = np.zeros(100, row)
            for one in rows:
                one["v"] = np.ones(3000, np.float32)
            table.resize(100 * (block + 1), axis=0)
            table[-100:] = rows
            for i in range(20):
                file[f"small/{block}-{i}"] = np.zeros(9)
except FileError as error:
    sys.stderr.write(str(error))
    sys.exit(1)
"""


def write_until(path, limit):
    """The exit status of a process whose files cannot grow beyond the limit, and what it said."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path, str(limit)], capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    path = tmp_path / "scan.h5"
    assert write_until(path, 10**9) == (0, "")
    whole = path.stat().st_size
    path.unlink()
    # in the superblock, in the middle of rows and of groups, and in the last block, which is written at the end
    for limit in (1, 3000, whole // 4, whole // 2, whole - 4000, whole - 1):
        status, said = write_until(path, limit)
        assert status == 1, (limit, status, said)
        assert said == f"{path} cannot be written: file too large."
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_file_of_an_earlier_run(tmp_path):
    (tmp_path / "scan.h5").write_bytes(b"earlier")
    assert write_until(tmp_path / "scan.h5", 3000)[0] == 1
    assert (tmp_path / "scan.h5").read_bytes() == b"earlier"


def test_a_whole_hdf5_file_is_an_ordinary_one(tmp_path):
    values = np.arange(300_000.0).reshape(300, 1000)
    with whole_hdf5(tmp_path / "new" / "a.h5") as file:
        file.create_dataset("values", data=values, compression="gzip")
        assert not (tmp_path / "new/a.h5").exists()
    with h5py.File(tmp_path / "new/a.h5") as file:
        np.testing.assert_array_equal(file["values"][()], values)


def test_an_error_leaves_neither_file_nor_folder(tmp_path):
    for write in (whole_file, whole_hdf5, whole_folder):
        with pytest.raises(ValueError, match="mine"), write(tmp_path / "out"):
            raise ValueError("mine")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_receives_its_files_at_the_end_and_keeps_those_of_others(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    (tmp_path / "a").write_text("old")
    with whole_folder(tmp_path) as draft:
        (draft / "a").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"notes.txt": "keep", "a": "new"}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="is a file; name a folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(FileError, match=r"^/proc/maps cannot be written: .*\.$"):
        check_writable(type(tmp_path)("/proc/maps"))
    with (
        pytest.raises(FileError, match="is a file; name a folder"),
        whole_hdf5(tmp_path / "file" / "a.h5"),
    ):
        pass
