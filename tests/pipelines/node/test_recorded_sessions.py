"""What is recorded of the sessions of a server."""

import os
import threading
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from heard import counts, failure, texts

from spokestream.errors import FileError
from spokestream.pipelines import wire
from spokestream.pipelines.node.recording import Recorder, read_recording


def test_recordings_hold_what_came_also_after_a_failure(serve, connect, readout, tmp_path, eventually):
    with serve(record=tmp_path / "raw") as running:
        said = [wire.ConfigFile("toy"), wire.Header("<a/>"), wire.Data(readout(np.nan)), wire.Data(readout())]
        peer = connect(running.port).say(*said)
        failure(peer.hear(stays=True))
        peer.say(wire.Data(readout()), wire.Close()).hang_up()
        eventually(lambda: not running.server._sessions)
        (path,) = (tmp_path / "raw").iterdir()
        client = wire.Connection(wire.Role.CLIENT)
        sent = [*said, wire.Data(readout()), wire.Close()]
        expected = b"".join(bytes(part) for event in sent for part in client.send(event))
        assert b"".join(data for _, data in read_recording(path)) == expected


def test_questions_leave_no_recording_and_scans_do(serve, connect, healthy, tmp_path, eventually):
    with serve(record=tmp_path) as running:
        connect(running.port).say(wire.Query(1, "ismrmrd::version"), wire.Close()).hear()
        eventually(lambda: not running.server._sessions)
        assert list(tmp_path.iterdir()) == []
        assert healthy(running)
        assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("broken", ["write", "__init__"])
def test_a_full_disk_does_not_stop_the_scan_and_its_client_is_warned_once(
    broken, serve, connect, readout, tmp_path, monkeypatch, caplog
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with serve(record=tmp_path) as running:
        monkeypatch.setattr(f"spokestream.pipelines.node.recording.Recorder.{broken}", full)
        peer = connect(running.port).opening().say(*[wire.Data(readout())] * 3, wire.Close())
        heard = peer.hear()
        assert counts(heard) == [3]
        assert texts(heard) == ["WARNING The scan is not recorded (No space left on device).\n"]
    assert "No space left" in caplog.text


def test_a_folder_that_cannot_be_written_ends_the_start_in_a_sentence(serve, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FileError, match=r"Recordings cannot be written to .*; choose another for --record"),
        serve(record=tmp_path / "file"),
    ):
        pass


def test_connections_that_send_nothing_leave_no_recording(serve, connect, tmp_path, eventually):
    with serve(record=tmp_path) as running:
        peer = connect(running.port)
        running.session()
        assert list(tmp_path.iterdir()) == []
        peer.hang_up()
        eventually(lambda: not running.server._sessions)
        assert list(tmp_path.iterdir()) == []


def test_recordings_are_on_the_disk_at_the_end_of_a_slice_and_private(
    serve, connect, readout, tmp_path, monkeypatch, eventually
):
    synced, sync = [], Recorder.sync

    def note(recorder):
        synced.append(recorder.path)
        sync(recorder)

    monkeypatch.setattr(Recorder, "sync", note)
    last = readout()
    last.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    with serve(record=tmp_path) as running:
        synced.clear()  # the trial at the start
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Data(last))
        eventually(lambda: synced)  # before its end, at which it is synced again
        (path,) = tmp_path.iterdir()
        assert synced == [path]
        assert path.stat().st_mode & 0o777 == 0o600
        peer.say(wire.Close()).hear()


def test_a_recording_ends_at_the_quota_with_a_warning(serve, connect, readout, tmp_path):
    with serve(record=tmp_path, record_gib=0.001) as running:
        last = readout(1, 100, 1000)
        last.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        peer = connect(running.port).opening().say(*[wire.Data(last)] * 3, wire.Close())
        heard = peer.hear()
        assert counts(heard) == [3]
    (warning,) = texts(heard)
    assert warning.startswith("WARNING The scan is not recorded (the recording is larger than the others")


def test_a_recording_is_on_the_disk_at_its_end_also_after_a_failure(
    serve, connect, readout, tmp_path, monkeypatch, eventually
):
    synced = []
    monkeypatch.setattr(Recorder, "sync", lambda recorder: synced.append(recorder.path))
    with serve(record=tmp_path) as running:
        synced.clear()
        peer = connect(running.port).opening().say(wire.Data(readout(np.nan)))
        failure(peer.hear())
        peer.hang_up()
        eventually(lambda: not running.server._sessions)
    (path,) = tmp_path.iterdir()
    assert synced == [path]


def test_old_recordings_are_deleted_without_a_scan(serve, tmp_path, eventually):
    old = tmp_path / "old.spokes"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    with serve(record=tmp_path):
        eventually(lambda: not old.exists())


def test_old_recordings_are_deleted_after_a_fault_of_the_folder(serve, tmp_path, eventually, monkeypatch, caplog):
    old, listings, glob = tmp_path / "old.spokes", [], Path.glob
    old.write_bytes(b"")
    os.utime(old, (0, 0))

    def faulty(path, pattern):
        listings.append(path)
        if len(listings) == 1:
            raise OSError(116, "Stale file handle")
        return glob(path, pattern)

    monkeypatch.setattr("spokestream.pipelines.node.server.CLEANING_S", 0.01)
    monkeypatch.setattr(Path, "glob", faulty)
    with serve(record=tmp_path):
        eventually(lambda: not old.exists())
    assert "Old recordings cannot be deleted: [Errno 116] Stale file handle." in caplog.text


def test_a_session_that_is_stopped_while_its_recording_is_synced_loses_its_connection(
    serve, connect, readout, tmp_path, monkeypatch, eventually
):
    syncing, on = threading.Event(), threading.Event()

    def slow(recorder):
        syncing.set()
        on.wait()

    with serve(record=tmp_path) as running:
        monkeypatch.setattr(Recorder, "sync", slow)
        peer = connect(running.port).opening().say(wire.Data(readout()), wire.Close())
        assert counts(peer.hear()) == [1]
        peer.hang_up()
        eventually(syncing.is_set)
        running.loop.call_soon_threadsafe(on.set)
    assert not running.server._sessions
