"""Faults of scans: every fault changes what its name says, at all strengths, and leaves a file that can be read."""

import numpy as np
import pytest

from spokestream.gadgets.scan.header import ScanHeader
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.simulator.faults import FAULTS, RecordedReadouts
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate_scan(path, SimulationSettings(matrix=24, coils=4, seed=2))
    return path


@pytest.fixture
def scan(path):
    return RecordedReadouts.read(path)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_changes_the_scan_and_leaves_a_file_of_acquisitions(name, path, tmp_path):
    clean, fault = RecordedReadouts.read(path), FAULTS[name]
    for strength in fault.strengths:
        scan = RecordedReadouts.read(path)
        fault.put_into(scan, strength)
        scan.write(tmp_path / "faulty.h5")
        assert len(list(read_scan(tmp_path / "faulty.h5"))) == len(scan.records)
        assert scan.xml != clean.xml or not same_records(scan.records, clean.records)


def same_records(one, other):
    return len(one) == len(other) and all(
        a["head"] == b["head"] and np.array_equal(a["data"], b["data"]) and np.array_equal(a["traj"], b["traj"])
        for a, b in zip(one, other, strict=True)
    )


def test_a_seed_chooses_the_same_spokes(path):
    one, same, other = (RecordedReadouts.read(path) for _ in range(3))
    for scan, seed in ((one, 1), (same, 1), (other, 2)):
        FAULTS["spokes of zeros"].put_into(scan, 0.02, seed)
    assert same_records(one.records, same.records)
    assert not same_records(one.records, other.records)


def test_two_percent_of_1400_spokes_are_28(scan):
    FAULTS["spokes of zeros"].put_into(scan, 0.02)
    assert sum(not scan.samples(row).any() for row in scan.spokes) == 28


def test_removed_oversampling_keeps_the_samples_of_the_same_image(scan):
    """A point at the centre has the same value in every sample of k-space, with and without oversampling."""
    for row in scan.spokes:
        scan.samples(row)[:] = 1
    k = {row: scan.trajectory(row).copy() for row in scan.spokes}
    FAULTS["oversampling removed before sending"].put_into(scan, "embedded")
    row = scan.spokes[700]
    assert scan.samples(row).shape == (4, 24)
    np.testing.assert_allclose(scan.samples(row), 1, atol=1e-6)
    np.testing.assert_array_equal(scan.trajectory(row)[int(scan.records["head"]["center_sample"][row])], 0)
    assert np.ptp(scan.trajectory(row), axis=0) == pytest.approx(np.ptp(k[row][::2], axis=0))


def test_presamples_are_told_by_the_header(scan):
    clean = {row: scan.samples(row).copy() for row in scan.spokes}
    FAULTS["samples before the readout, told by discard_pre"].put_into(scan, 4)
    row = scan.spokes[3]
    np.testing.assert_array_equal(scan.samples(row)[:, 4:-4], clean[row])
    assert scan.records["head"]["discard_pre"][row] == scan.records["head"]["discard_post"][row] == 4


def test_reversed_readouts_hold_the_same_samples(scan):
    clean = {row: (scan.samples(row).copy(), scan.trajectory(row).copy()) for row in scan.spokes}
    FAULTS["readouts sampled backwards, flagged"].put_into(scan, "embedded")
    row = scan.spokes[1]
    np.testing.assert_array_equal(scan.samples(row)[:, ::-1], clean[row][0])
    centre = int(scan.records["head"]["center_sample"][row])
    np.testing.assert_array_equal(scan.trajectory(row)[centre], 0)


def test_the_second_encoding_is_the_scans_own(scan):
    clean = ScanHeader.from_xml(scan.xml)
    FAULTS["spokes in the second encoding"].put_into(scan, "embedded")
    assert scan.xml.count("<encoding>") == 2
    last = scan.xml.rindex("<encoding>")
    first = scan.xml.index("<encoding>")
    own = ScanHeader.from_xml(scan.xml[:first] + scan.xml[last:])
    assert (own.encoded_matrix, own.recon_fov_mm) == (clean.encoded_matrix, clean.recon_fov_mm)


def test_a_finer_recon_matrix_covers_the_same_field_of_view(scan):
    before = scan.trajectory(scan.spokes[5])[0] * 24
    FAULTS["recon matrix interpolated by the converter"].put_into(scan, 2)
    header = ScanHeader.from_xml(scan.xml)
    assert header.recon_matrix[:2] == (48, 48)
    assert header.recon_fov_mm[:2] == (350, 350)
    np.testing.assert_allclose(scan.trajectory(scan.spokes[5])[0] * 48, before, rtol=1e-6)  # cycles per field of view


def test_what_the_header_does_not_hold_cannot_be_replaced(scan):
    with pytest.raises(ValueError, match="holds nothing like <nonsense>"):
        scan.replace("<nonsense>", "")
