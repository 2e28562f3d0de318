"""What is given as a scan and is none: one sentence that says what to do."""

import struct

import h5py
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines.files.scan_source import open_scan

RAW = bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("meas.dat", struct.pack("<II", 0, 2) + RAW, "convert it with siemens_to_ismrmrd first"),
        ("renamed", struct.pack("<II", 0, 1) + RAW, "convert it with siemens_to_ismrmrd first"),
        ("vb17.dat", struct.pack("<I", 35000) + b"\6\0\0\0Config\0" + RAW, "convert it with siemens_to_ismrmrd first"),
        ("P12345.7", RAW, "convert it with ge_to_ismrmrd first"),
        ("raw_001.lab", RAW, "convert it with philips_to_ismrmrd first"),
        ("fid", RAW, "convert it with bruker_to_ismrmrd first"),
        ("image.dcm", bytes(128) + b"DICM" + RAW, "is a DICOM file, which holds images"),
        ("scan.h5.gz", b"\x1f\x8b" + RAW, "is compressed with gzip; unpack it"),
        ("scan.zip", b"PK\3\4" + RAW, "is a ZIP archive; unpack it"),
        ("scan.mat", b"MATLAB 5.0 MAT-file" + RAW, "is a MATLAB file"),
        ("empty.h5", b"", "is empty"),
        ("notes.txt", "Größe\n".encode("latin-1"), "but a text; give the ISMRMRD file"),
        ("noise.bin", b"\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7" + RAW, "is not an HDF5 file, nor a stream or a recording"),
    ],
)
def test_the_sentence_names_the_cure(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError, match=sentence) as caught:
        open_scan(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert str(caught.value).endswith(".")


def test_a_folder_names_the_scans_in_it(tmp_path):
    with pytest.raises(ScanError, match="is a folder without an ISMRMRD file"):
        open_scan(tmp_path)
    (tmp_path / "meas.dat").write_bytes(RAW)
    with pytest.raises(ScanError, match=r"convert meas\.dat with siemens_to_ismrmrd first"):
        open_scan(tmp_path)
    for name, members in (("b.h5", ("xml", "data")), ("truth.h5", ("label",)), ("a.h5", ("xml", "data"))):
        with h5py.File(tmp_path / name, "w") as file:
            for member in members:
                file[f"dataset/{member}"] = np.zeros(1)
    (tmp_path / "c.stream").write_bytes(b"\3\0\4\0\0\0<x/>")
    with pytest.raises(ScanError, match=r"is a folder; give one of the scans in it: a\.h5, b\.h5, c\.stream\.$"):
        open_scan(tmp_path)
    (tmp_path / "fid").mkdir()
    for i in range(4):
        (tmp_path / f"d{i}.stream").write_bytes(b"\3\0\4\0\0\0<x/>")
    with pytest.raises(ScanError, match=r"d1\.stream and 2 more\.$"):
        open_scan(tmp_path)


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ScanError, match=r"There is no file .*none\.h5\.$"):
        open_scan(tmp_path / "none.h5")
