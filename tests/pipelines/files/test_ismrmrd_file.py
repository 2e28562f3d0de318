import ctypes

import h5py
import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines.files import ismrmrd_file as files
from spokestream.pipelines.files.ismrmrd_file import read_scan

XML = '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><é/></ismrmrdHeader>'


def random_acquisition(rng, samples, coils, dims):
    head = ismrmrd.AcquisitionHeader.from_buffer_copy(rng.bytes(ctypes.sizeof(ismrmrd.AcquisitionHeader)))
    head.number_of_samples, head.active_channels, head.trajectory_dimensions = samples, coils, dims
    data = (rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))).astype(np.complex64)
    return ismrmrd.Acquisition(head, data, rng.standard_normal((samples, dims)).astype(np.float32))


def write(path, acquisitions, group="dataset", xml=XML):
    with ismrmrd.Dataset(path, group, mode="a") as file:
        if xml is not None:
            file.write_xml_header(xml.encode())
        for acquisition in acquisitions:
            file.append_acquisition(acquisition)
    return path


@pytest.fixture
def scan_file(tmp_path):
    """A file of eleven acquisitions with different shapes and random bytes in all headers."""
    rng = np.random.default_rng(5)
    shapes = [(13 + i % 3, 1 + i % 4, (0, 2, 3)[i % 3]) for i in range(11)]
    return write(tmp_path / "scan.h5", [random_acquisition(rng, *shape) for shape in shapes])


def test_every_acquisition_is_what_the_reference_reader_gives_bit_for_bit(scan_file, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_ROWS", 4)  # several blocks, the last one short
    scan = read_scan(scan_file)
    ours = list(scan)
    with ismrmrd.Dataset(scan_file, mode="r") as reference:
        assert scan.xml.encode() == reference.read_xml_header()
        assert scan.n_acquisitions == len(ours) == reference.number_of_acquisitions()
        for i, acquisition in enumerate(ours):
            assert acquisition.to_bytes() == reference.read_acquisition(i).to_bytes()


def test_a_scan_can_be_read_twice_and_left_halfway(scan_file):
    scan = read_scan(scan_file)
    assert next(iter(scan)).to_bytes() == next(a.to_bytes() for a in scan)
    with h5py.File(scan_file, "r+"):  # nothing holds the file open
        pass


def test_blocks_stay_within_memory_when_acquisitions_are_large(scan_file, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_BYTES", 300)
    sizes = []
    read = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: _noted(read(self, key), sizes))
    assert len(list(read_scan(scan_file))) == 11
    blocks = [s for s in sizes if s is not None]
    assert max(blocks) <= 2
    assert sum(blocks) == 11


def _noted(value, sizes):
    sizes.append(len(value) if getattr(value, "dtype", None) is not None and value.dtype.names else None)
    return value


def test_a_compound_laid_out_otherwise_is_read_by_name(scan_file, tmp_path):
    with h5py.File(scan_file) as source:
        table = source["dataset/data"]
        names = table.dtype["head"].names[::-1]
        head = np.dtype([("vendor", "f8"), *((n, table.dtype["head"][n]) for n in names)], align=True)
        other = np.dtype([("traj", table.dtype["traj"]), ("head", head), ("data", table.dtype["data"])])
        rows = table[:]
        moved = np.zeros(len(rows), other)
        for name in names:
            moved["head"][name] = rows["head"][name]
        moved["traj"], moved["data"] = rows["traj"], rows["data"]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("scan/data", data=moved, dtype=other)
        file.create_dataset("scan/xml", data=np.array([XML.encode() + b"\0"]))
    other_scan = read_scan(tmp_path / "other.h5")
    assert other_scan.group == "scan"
    assert other_scan.xml == XML
    assert [a.to_bytes() for a in other_scan] == [a.to_bytes() for a in read_scan(scan_file)]


def test_the_only_measurement_is_found_whatever_its_name(tmp_path):
    rng = np.random.default_rng(1)
    path = write(tmp_path / "a.h5", [random_acquisition(rng, 5, 2, 2)], group="2024-01-02 10:11")
    assert read_scan(path).group == "2024-01-02 10:11"
    write(path, [random_acquisition(rng, 5, 2, 2)], group="later")
    with pytest.raises(ScanError, match="2 measurements"):
        read_scan(path)
    write(path, [random_acquisition(rng, 5, 2, 2)] * 3)
    assert (read_scan(path).group, read_scan(path).n_acquisitions) == ("dataset", 3)


@pytest.mark.parametrize("raw", [XML.encode("latin-1"), b"\xef\xbb\xbf" + XML.encode()])
def test_a_header_in_latin_1_or_with_a_byte_order_mark_is_read(scan_file, raw):
    with h5py.File(scan_file, "r+") as file:
        del file["dataset/xml"]
        file.create_dataset("dataset/xml", data=[raw], dtype=h5py.special_dtype(vlen=bytes))
    assert read_scan(scan_file).xml == XML


def test_a_file_that_is_no_scan_is_refused_in_one_sentence(tmp_path):
    def refused(path, match):
        with pytest.raises(ScanError, match=match) as caught:
            read_scan(path)
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)

    refused(tmp_path / "none.h5", "no file")
    refused(tmp_path, "is a folder without an ISMRMRD file")
    (tmp_path / "text.h5").write_text("not HDF5")
    refused(tmp_path / "text.h5", "not an HDF5 file")
    acquisition = random_acquisition(np.random.default_rng(0), 4, 2, 0)
    refused(write(tmp_path / "headless.h5", [acquisition], xml=None), "no ISMRMRD header")
    refused(write(tmp_path / "dataless.h5", []), "no acquisitions")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kspace"] = np.zeros(3)
    refused(tmp_path / "other.h5", "not an ISMRMRD scan")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["dataset/data"], file["dataset/xml"] = np.zeros(3), [XML]
    refused(tmp_path / "plain.h5", "not a list of ISMRMRD acquisitions")


@pytest.mark.parametrize("field", ["number_of_samples", "active_channels", "trajectory_dimensions"])
def test_arrays_that_disagree_with_their_header_are_refused_before_they_are_used(scan_file, field):
    with h5py.File(scan_file, "r+") as file:
        row = file["dataset/data"][7:8]
        row["head"][field] += 1
        file["dataset/data"][7:8] = row
    read = iter(read_scan(scan_file))
    for _ in range(7):
        next(read)
    with pytest.raises(ScanError, match=r"acquisition 7: (data|trajectory) of"):
        next(read)


def test_a_header_without_a_field_is_refused(tmp_path):
    floats = h5py.vlen_dtype(np.dtype("f4"))
    row = np.dtype([("head", [("version", "u2")]), ("traj", floats), ("data", floats)])
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.create_dataset("dataset/data", (2,), row)
        file["dataset/xml"] = [XML]
    with pytest.raises(ScanError, match="flags"):
        list(read_scan(tmp_path / "old.h5"))


def test_truncated_files_end_in_a_scan_error(scan_file, tmp_path):
    whole = scan_file.read_bytes()
    path = tmp_path / "short.h5"
    for length in (*range(0, len(whole), 251), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ScanError) as caught:
            list(read_scan(path))
        assert "\n" not in str(caught.value)


def test_a_file_that_lists_too_many_acquisitions_is_refused(scan_file):
    with h5py.File(scan_file, "r+") as file:
        file["dataset/data"].resize(2**50, axis=0)
    with pytest.raises(ScanError, match="more than it has bytes"):
        read_scan(scan_file)
