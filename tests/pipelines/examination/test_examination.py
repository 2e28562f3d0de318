"""The examination of a scan says what the node would find, and which options it would take."""

import shutil

import ismrmrd
import numpy as np
import pytest
from rewritten_scan import rewrite_scan, samples, spoke

from spokestream.errors import InputError, ScanError
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.examination.examination import examine_scan


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two slices of a thigh."""
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    options = ["--matrix", "48", "--coils", "4", "--noise", "0.02", "--slices", "2"]
    assert main(["simulate", str(path), *options]) == 0
    return path


@pytest.fixture
def scan(original, tmp_path):
    return shutil.copy(original, tmp_path / "scan.h5")


def found(result, what):
    (finding,) = [finding for finding in result.findings if finding.what == what]
    return finding


def test_a_good_scan_is_described(scan):
    result = examine_scan(scan)
    assert result.refusal == ""
    for what, words in {
        "readouts": "2808: 2800 spokes in 2 slices (1400 in each)",
        "noise readouts": "8",
        "spoke": "4 coils, 96 samples",
        "dwell time": "2 µs",
        "center_sample": "48",
        "embedded trajectory": "kx, ky",
        "matrix": "48 × 48 pixels of 7.29 × 7.29 mm",
        "field of view": "350 × 350 mm, slices of 8 mm",
        "readout oversampling": "2 (96 samples over 700 mm)",
        "trajectory by the header": "goldenangle",
        "main field": "2.89 T (systemFieldStrength_T)",
        "sequence": "t1ff-2d-1400 (header): 1400 spokes in 175 frames, 3 echo times, ideal spoiling",
        "pipeline": "mrf_t1ff: maps of water and fat",
        "trajectory unit": "cycles per recon pixel",
        "sign of the samples": "no sign of complex conjugates",
        "irregular spokes": "none in the first slice",
    }.items():
        assert found(result, what).found == words
    assert [finding.what for finding in result.findings if finding.doubtful] == []
    assert result.command == f"spokestream replay {scan} -o maps --pipeline mrf_t1ff"


def test_conjugate_samples_are_found_and_the_option_is_named(scan):
    def conjugate(row):
        samples(row)[:] = samples(row).conj()

    rewrite_scan(scan, conjugate)
    result = examine_scan(scan)
    finding = found(result, "sign of the samples")
    assert finding.doubtful
    assert finding.found == "images conjugated and mirrored, as found in the first slice of tissue"
    assert result.command.endswith("--pipeline mrf_t1ff --set conjugate=yes")
    assert any("complex conjugates" in warning for warning in result.warnings)
    again = examine_scan(scan, parameters={"conjugate": "yes"})
    assert found(again, "sign of the samples").found == "samples conjugated, as set"
    assert again.command == result.command


def test_what_is_unusual_is_marked(scan):
    def change(row):
        if spoke(row) is None:
            return False
        samples(row)[2] = 0
        if spoke(row) == 7:
            row["head"]["flags"] |= np.uint64(1 << (ismrmrd.ACQ_IS_PHASECORR_DATA - 1))
        return True

    rewrite_scan(scan, change)
    result = examine_scan(scan)
    assert found(result, "noise readouts").found == "none"
    assert found(result, "noise readouts").doubtful
    assert found(result, "left out by flags").found == "2 ACQ_IS_PHASECORR_DATA"
    assert found(result, "irregular spokes").found == "1 missing"
    assert any("Channel 3 gave only zeros" in warning for warning in result.warnings)


def test_angles_without_a_trajectory_are_pointed_at(scan):
    def strip(row):
        row["head"]["user_float"][0] = 0.3 * (spoke(row) or 0)
        row["head"]["sample_time_us"] = 0
        row["head"]["trajectory_dimensions"] = 0
        row["traj"] = np.zeros(0, np.float32)

    rewrite_scan(scan, strip)
    result = examine_scan(scan)
    assert found(result, "embedded trajectory").found == "none"
    assert (found(result, "dwell time").found, found(result, "dwell time").doubtful) == ("0 µs", True)
    assert "set trajectory=angle" in found(result, "user_float[0]").found
    assert found(result, "trajectory").found == "golden angle from the spoke's index"


def test_a_scan_that_is_refused_is_still_described(scan):
    rewrite_scan(scan, lambda row: (spoke(row) or 0) % 3 != 1)
    result = examine_scan(scan)
    assert "of 1400 spokes are missing" in result.refusal
    assert found(result, "sequence").found.startswith("t1ff-2d-1400")
    assert "spokestream replay" in result.command


def test_units_that_are_wrong_are_the_refusal(scan):
    rewrite_scan(
        scan, header=lambda xml: xml.replace("<x>350.0</x>", "<x>0.35</x>").replace("<x>700.0</x>", "<x>0.7</x>")
    )
    result = examine_scan(scan)
    assert "is it in another unit?" in result.refusal
    assert result.findings[0].what == "readouts"


def test_no_scan_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ScanError, match="There is no file"):
        examine_scan(tmp_path / "scan.h5")
    with pytest.raises(InputError, match="A scan is read twice to be examined"):
        examine_scan("-")


def test_the_command_prints_findings_warnings_and_options(scan, capsys):
    rewrite_scan(scan, lambda row: row["head"]["idx"]["slice"] == 0)
    assert main(["doctor", "--scan", str(scan)]) == 0
    said = capsys.readouterr().out
    assert "slices by the header" in said
    assert "2, and the readouts have 1" in said
    assert f"  spokestream replay {scan} -o maps --pipeline mrf_t1ff\n" in said
    assert main(["doctor", "--scan", str(scan), "--set", "max_missing=2"]) == 1
    assert main(["doctor", "--pipeline", "mrf_t1ff"]) == 1
    assert "belong to --scan FILE" in capsys.readouterr().err
