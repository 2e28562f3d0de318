import asyncio
import os
import time

import pytest

from spokestream.errors import FileError
from spokestream.pipelines.node.recordings import Recordings


def written(folder, name, n_bytes, days_ago=0.0):
    path = folder / f"{name}.spokes"
    path.write_bytes(bytes(n_bytes))
    then = time.time() - days_ago * 86400
    os.utime(path, (then, then))
    return path


def names(folder):
    return sorted(path.stem for path in folder.iterdir())


def test_the_oldest_are_deleted_until_the_rest_is_within_the_quota(tmp_path):
    for name in ("2025-b", "2025-a", "2025-c"):
        written(tmp_path, name, 100)
    Recordings(tmp_path, quota_bytes=200, days=1).delete_old()
    assert names(tmp_path) == ["2025-b", "2025-c"]
    Recordings(tmp_path, quota_bytes=199, days=1).delete_old()
    assert names(tmp_path) == ["2025-c"]


def test_old_recordings_are_deleted_and_other_files_are_not(tmp_path):
    written(tmp_path, "old", 1, days_ago=2.1)
    written(tmp_path, "young", 1, days_ago=1.9)
    (tmp_path / "notes.txt").write_text("keep")
    os.utime(tmp_path / "notes.txt", (0, 0))
    Recordings(tmp_path, quota_bytes=1000, days=2).delete_old()
    assert names(tmp_path) == ["notes", "young"]


def test_a_recording_that_is_being_written_is_never_deleted(tmp_path):
    recordings = Recordings(tmp_path, quota_bytes=150, days=1)
    first = recordings.new("first")
    first.write(bytes(1000))
    second = recordings.new("second")
    assert first.path.exists()
    recordings.ended(first)
    recordings.delete_old()
    assert not first.path.exists()
    assert second.path.exists()
    recordings.ended(second)


def test_the_check_makes_the_folder_and_leaves_nothing_in_it(tmp_path):
    Recordings(tmp_path / "a" / "b", 1000, 1).check()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_of_another_user_is_refused_with_the_number_of_the_own(tmp_path, monkeypatch):
    def open_for_root_alone(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", open_for_root_alone)
    sentence = rf"Recordings cannot be written to .* by user {os.getuid()} \(Permission denied\); .*change its owner\.$"
    with pytest.raises(FileError, match=sentence):
        Recordings(tmp_path, 1000, 1).check()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileError, match="Recordings cannot be written to"):
        Recordings(tmp_path / "a", 1000, 1).check()


def test_the_largest_recording_ends_where_all_that_are_written_are_larger_than_the_quota(tmp_path):
    recordings = Recordings(tmp_path, quota_bytes=1500, days=1)
    small, large = recordings.new("small"), recordings.new("large")
    recordings.write(large, memoryview(bytes(1000)))
    recordings.write(small, memoryview(bytes(400)))
    assert small.n_bytes + large.n_bytes == sum(path.stat().st_size for path in tmp_path.iterdir()) < 1500
    recordings.write(small, memoryview(bytes(50)))
    with pytest.raises(OSError, match="larger than the others"):
        recordings.write(large, memoryview(bytes(1)))
    recordings.write(small, memoryview(bytes(1)))
    recordings.ended(small)
    recordings.ended(large)


def test_recordings_that_have_ended_count_at_once(tmp_path):
    recordings = Recordings(tmp_path, quota_bytes=2500, days=1)
    for number in range(3):
        assert not recordings.crowded.is_set()
        recorder = recordings.new(str(number))
        recordings.write(recorder, memoryview(bytes(1000)))
        recordings.ended(recorder)
    assert recordings.crowded.is_set()
    asyncio.run(recordings.tidy())
    assert not recordings.crowded.is_set()
    assert len(names(tmp_path)) == 2
    recordings.ended(recordings.new("empty"))
    assert not recordings.crowded.is_set()
