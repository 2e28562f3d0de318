import struct

import pytest

from spokestream.errors import ScanError
from spokestream.pipelines.node.recording import Recorder, read_recording, recording_path


@pytest.fixture
def recording(tmp_path):
    path = recording_path(tmp_path / "new folder", "ab12")
    with Recorder(path) as recorder:
        for data in (b"first", b"\0second", b"x" * 100_000):
            recorder.write(data)
    return path


def test_what_was_written_is_read_bit_for_bit_in_order(recording):
    seconds, chunks = zip(*read_recording(recording), strict=True)
    assert chunks == (b"first", b"\0second", b"x" * 100_000)
    assert list(seconds) == sorted(seconds)
    assert seconds[0] >= 0
    assert recording.name.endswith("_ab12.spokes")


def test_a_recording_is_readable_while_it_is_written(tmp_path):
    with Recorder(tmp_path / "a") as recorder:
        recorder.write(b"so far")
        assert [data for _, data in read_recording(recorder.path)] == [b"so far"]


def test_recordings_never_overwrite_each_other(recording):
    with pytest.raises(FileExistsError):
        Recorder(recording)


@pytest.mark.parametrize("end", [1, 50_000, 100_000])
def test_a_recording_cut_short_gives_what_is_there(recording, end):
    whole = recording.read_bytes()
    recording.write_bytes(whole[:-end])
    read = b"".join(data for _, data in read_recording(recording))
    assert read == b"first\0second" + b"x" * (100_000 - end)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a recording"),
        (b"\x89HDF" * 20, "not a recording"),
        (struct.pack("<8sHd", b"SPOKEREC", 2, 0.0), "version 2"),
        (struct.pack("<8sHddI", b"SPOKEREC", 1, 0.0, 0.0, 2**32 - 1), "damaged"),
        (struct.pack("<8sHddI", b"SPOKEREC", 1, 0.0, float("nan"), 1), "damaged"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, content, complaint):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ScanError, match=complaint):
        list(read_recording(tmp_path / "a"))
