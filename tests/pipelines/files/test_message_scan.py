"""Scans in files of messages: a converter's stream and a session's recording, whole and cut short."""

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.files.message_scan import RecordedScan, StreamedScan, is_recording, is_stream
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.node.recording import Recorder

XML = "<ismrmrdHeader><a>Größe</a></ismrmrdHeader>"


def acquisitions(n=3):
    return [ismrmrd.Acquisition.from_array(np.full((2, 5), i, np.complex64)) for i in range(n)]


def messages(config=None, n=3, close=True):
    """The bytes of a scan as a client would send them, without the configuration unless it is given."""
    client = wire.Connection(wire.Role.CLIENT)
    parts = [client.send(wire.ConfigFile(config or "any"))]
    parts = parts if config else []
    parts.append(client.send(wire.Header(XML)))
    parts += [client.send(wire.Data(acquisition)) for acquisition in acquisitions(n)]
    if close:
        parts.append(client.send(wire.Close()))
    return b"".join(bytes(part) for message in parts for part in message)


@pytest.mark.parametrize("config", [None, "mrf_t1ff"])
def test_a_stream_gives_header_and_acquisitions(tmp_path, config, caplog):
    path = tmp_path / "scan.ismrmrd"
    path.write_bytes(messages(config))
    scan = open_scan(path)
    assert isinstance(scan, StreamedScan)
    assert (scan.xml, scan.n_acquisitions) == (XML, 3)
    for _ in range(2):  # it can be read twice
        assert [a.to_bytes() for a in scan] == [a.to_bytes() for a in acquisitions()]
    assert not caplog.records


@pytest.mark.parametrize("cut", [1, 10])  # in CLOSE, and in the last acquisition
def test_a_stream_cut_short_gives_what_is_whole_and_says_so(tmp_path, cut, caplog):
    path = tmp_path / "scan.ismrmrd"
    path.write_bytes(messages()[:-cut])
    scan = open_scan(path)
    assert scan.n_acquisitions == len(list(scan)) == (3 if cut == 1 else 2)
    (warning,) = caplog.records
    assert warning.getMessage().startswith("scan.ismrmrd ends before the scan does: The stream ended without CLOSE")


def test_a_header_in_latin_1_is_read(tmp_path):
    raw = messages().replace("Größe".encode(), "Größe__".encode("latin-1"))  # as many bytes as before
    (tmp_path / "a").write_bytes(raw)
    assert open_scan(tmp_path / "a").xml == XML.replace("Größe", "Größe__")


def test_a_recording_without_its_end_gives_what_came(tmp_path, caplog):
    with Recorder(tmp_path / "a.spokes") as recorder:
        raw = messages("mrf_t1ff", close=False)
        for start in range(0, len(raw), 100):
            recorder.write(raw[start : start + 100])
    scan = open_scan(tmp_path / "a.spokes")
    assert isinstance(scan, RecordedScan)
    assert (scan.config, scan.xml, len(list(scan))) == ("mrf_t1ff", XML, 3)
    assert "a.spokes ends before the scan does" in caplog.text


def test_other_files_are_neither(tmp_path):
    path = tmp_path / "a"
    for raw in (b"", b"\3", b"\3\0", b"\x89HDF\r\n\x1a\n", b"\3\0\0\0\0\0", b"\3\0\xff\xff\xff\xff<x/>", b"words"):
        path.write_bytes(raw)
        assert not is_recording(path)
        assert not is_stream(path), raw
    assert not is_stream(tmp_path / "none")


def test_a_stream_without_a_header_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(wire.Connection(wire.Role.CLIENT).send(wire.ConfigFile("any"))[0] + b"any".ljust(1024))
    with pytest.raises(ScanError, match="holds no ISMRMRD header"):
        open_scan(tmp_path / "a").xml  # noqa: B018
