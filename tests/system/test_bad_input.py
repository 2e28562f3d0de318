"""Broken scans over TCP and in files: the client gets one clear sentence and a CLOSE, and the next scan is served."""

import shutil
import socket
import struct
import subprocess

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines.cli.main import main
from spokestream.pipelines.client import ClientError, send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.node.server import local_server
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary, save_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


def copy(acquisition, data=None):
    head = acquisition.getHead()
    trajectory = acquisition.traj
    data = acquisition.data if data is None else np.ascontiguousarray(data, np.complex64)
    if data.shape[1] != acquisition.number_of_samples:
        head.number_of_samples = data.shape[1]
        trajectory = trajectory[: data.shape[1]]
    return ismrmrd.Acquisition(head, data.copy(), trajectory.copy())


def spoil(readouts, what):
    """A scan with one kind of irregular spokes, few enough to be reconstructed."""
    readouts = [copy(r) for r in readouts]
    middle = len(readouts) - 700  # spoke 700 of 1,400; before all spokes come readouts of noise
    if what == "samples":
        readouts[middle] = copy(readouts[middle], readouts[middle].data[:, :-7])
    elif what == "nan":
        readouts[middle].data[1, 3] = np.nan
    elif what == "missing":
        del readouts[middle : middle + 5]
    elif what == "duplicate":
        readouts.insert(middle, copy(readouts[middle]))
    elif what == "order":
        readouts[middle], readouts[middle + 9] = readouts[middle + 9], readouts[middle]
    return readouts


SPOILED = {
    "samples": ("spoke 700 has 5 coils and 89 samples instead of 5 and 96", {"changed_shape": 1, "missing": 1}),
    "nan": ("spoke 700 holds values that are not finite", {"missing": 1, "not_finite": 1}),
    "missing": ("the scan counter jumps over 5 readouts", {"counter_gaps": 1, "missing": 5}),
    "duplicate": ("spoke 700 came twice", {"duplicate": 1}),
    # the scan's counter jumps ahead before spoke 709 and behind spoke 700; all from 701 on, and 700, come after 709
    "order": ("the scan counter jumps over 9 readouts", {"counter_gaps": 2, "out_of_order": 9}),
}
"""By kind: what a strict node says of the first irregularity, and what a lenient one counts."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A scan of a few pixels, which a node reconstructs quickly."""
    path = tmp_path_factory.mktemp("good") / "good.h5"
    simulate_scan(path, SimulationSettings(matrix=24, coils=2, seed=3))
    return read_scan(path)


@pytest.fixture
def node_serves_on(port, good):
    """The port of a server. After the test, the same server must reconstruct a whole scan."""
    yield port
    reply = send_scan(good.xml, good, port=port)
    assert len(reply.images) == 15
    assert not any(text.startswith("ERROR") for text in reply.texts)


@pytest.mark.parametrize("what", SPOILED)
def test_irregular_spokes_give_a_warning_and_counts_in_the_metadata(what, scan, first_slice, port):
    reply = send_scan(scan.xml, spoil(first_slice, what), port=port)
    (warning,) = [text for text in reply.texts if text.startswith("WARNING")]
    _, counts = SPOILED[what]
    words = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items())
    assert warning == f"WARNING Slice 1 was reconstructed with irregular spokes: {words}.\n"
    assert len(reply.images) == 15
    of_pixels = {"not_a_number": 0, "clipped": 0}  # every map counts these itself
    for image in reply.images:
        told = {key: value for key, value in image.meta.items() if key.startswith("spokestream_count_")}
        assert image.meta["spokestream_quality"] == "good"
        assert told.pop("spokestream_count_not_exhaustive") == "0"
        flagged, untrusted, foreground = (
            int(told.pop(f"spokestream_count_{kind}")) for kind in ("flagged", "untrusted", "foreground")
        )
        assert flagged < 0.05 * foreground
        assert flagged <= untrusted < 0.1 * foreground
        assert told == {f"spokestream_count_{kind}": str(n) for kind, n in (counts | of_pixels).items()}


@pytest.mark.parametrize("what", SPOILED)
def test_strict_integrity_refuses_them(what, scan, first_slice, node_serves_on):
    sentence, _ = SPOILED[what]
    with pytest.raises(ClientError) as failed:
        send_scan(scan.xml, spoil(first_slice, what), port=node_serves_on, parameters={"integrity": "strict"})
    assert str(failed.value) == f"The server says: Slice 1: {sentence}, and integrity is set to strict."


def test_a_scan_without_signal_is_refused(scan, first_slice, node_serves_on):
    silent = [
        copy(r, np.zeros_like(r.data)) if not r.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) else r
        for r in first_slice
    ]
    with pytest.raises(ClientError, match="1400 of 1400 spokes are missing or unusable"):
        send_scan(scan.xml, silent, port=node_serves_on)


def test_too_many_missing_spokes(scan, first_slice, node_serves_on):
    with pytest.raises(ClientError, match="more than the 10% that can be left out"):
        send_scan(scan.xml, first_slice[:1000], port=node_serves_on)


def test_an_unknown_config_name(scan, first_slice, node_serves_on):
    with pytest.raises(ClientError, match="There is no pipeline 'brainiac'; known are auto, mrf_t1ff"):
        send_scan(scan.xml, first_slice[:20], port=node_serves_on, config="brainiac")


def test_a_parameter_that_only_the_operator_may_set(scan, first_slice, node_serves_on):
    reply = send_scan(scan.xml, first_slice, port=node_serves_on, parameters={"dictionary": "/etc/passwd"})
    assert "WARNING Unknown parameters were ignored: dictionary.\n" in reply.texts
    assert reply.images
    xml = '<configuration pipeline="mrf_t1ff"><property name="dictionary" value="/etc/passwd"/></configuration>'
    with pytest.raises(ClientError, match="no parameter 'dictionary'"):
        send_scan(scan.xml, first_slice[:20], port=node_serves_on, config=xml)


@pytest.mark.parametrize(("header", "sentence"), [("", "well-formed"), ("<html/>", "root element is <html>")])
def test_no_ismrmrd_header(header, sentence, first_slice, node_serves_on):
    with pytest.raises(ClientError, match=sentence):
        send_scan(header, first_slice[:20], port=node_serves_on)


def test_garbage_bytes(node_serves_on):
    with socket.create_connection(("127.0.0.1", node_serves_on)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: scanner\r\n\r\n" * 40)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer[:2] == struct.pack("<H", 5)
    assert b"ERROR" in answer
    assert answer.endswith(struct.pack("<H", 4))


def test_a_client_that_vanishes_midway(scan, first_slice, node_serves_on):
    def half():
        yield from first_slice[: len(first_slice) // 2]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        send_scan(scan.xml, half(), port=node_serves_on)


def test_a_failed_scan_is_kept_and_fails_the_same_way_when_replayed(scan, first_slice, tmp_path, capsys):
    with local_server(record=tmp_path / "kept") as port, pytest.raises(ClientError, match="strict"):
        send_scan(scan.xml, spoil(first_slice, "nan"), port=port, parameters={"integrity": "strict"})
    (recording,) = (tmp_path / "kept").iterdir()
    assert "holds values that are not finite" in failure(capsys, "replay", recording, "-o", tmp_path)
    assert main(["replay", str(recording), "-o", str(tmp_path / "maps"), "--integrity", "warn"]) == 0


def failure(capsys, *arguments):
    assert main([str(a) for a in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


def test_a_file_that_is_no_hdf5(tmp_path, capsys):
    path = tmp_path / "scan.h5"
    path.write_bytes(b"not a scan" * 99)
    assert "HDF5" in failure(capsys, "replay", path, "-o", tmp_path)


def test_a_dictionary_of_another_sequence(scan_path, tmp_path, capsys):
    grid = Grid(np.array([1000.0, 1400.0]), np.array([300.0]), np.array([0.7]), np.array([0.0, 10.0]))
    save_dictionary(tmp_path / "adjusted.h5", build_dictionary(load_sequence("t1ff-2d-1400-adj"), grid))
    error = failure(capsys, "replay", scan_path, "-o", tmp_path, "--dictionary", tmp_path / "adjusted.h5")
    assert "another sequence" in error
    assert "tr_ms of spoke 0 is 4.02 ms against 3.52 ms" in error


def test_a_dictionary_file_of_the_same_sequence_is_used(scan_path, tmp_path):
    grid = Grid(
        np.arange(800.0, 1801, 100), np.array([300.0, 350.0]), np.arange(0.4, 1.01, 0.1), np.arange(-100.0, 101, 20)
    )
    save_dictionary(tmp_path / "coarse.h5", build_dictionary(load_sequence("t1ff-2d-1400"), grid))
    assert main(["replay", str(scan_path), "-o", str(tmp_path), "--dictionary", str(tmp_path / "coarse.h5")]) == 0
    with ismrmrd.Dataset(tmp_path / "maps.h5", create_if_needed=False) as dataset:
        assert dataset.read_image("image_101", 0).meta["spokestream_dictionary"].startswith("coarse.h5, ")


GENERATOR = "ismrmrd_generate_cartesian_shepp_logan"


@pytest.mark.skipif(not shutil.which(GENERATOR), reason="needs the Debian package ismrmrd-tools")
def test_a_cartesian_file_of_another_implementation(tmp_path, capsys):
    path = tmp_path / "cartesian.h5"
    subprocess.run([GENERATOR, "-k", "-C", "-m", "32", "-c", "4", "-o", path], check=True, capture_output=True)
    assert main(["replay", str(path), "-o", str(tmp_path)]) == 1
    assert "trajectory is 'cartesian'" in capsys.readouterr().err
