import os

import pytest

from spokestream.pipelines.archive.scans.identity import PIECE, copies, digest_of


def test_only_equal_contents_are_copies(tmp_path, monkeypatch):
    content = bytearray(os.urandom(8 * PIECE))
    other_at = {"first": 0, "middle": 4 * PIECE, "between": 2 * PIECE, "last": 8 * PIECE - 1}
    paths = [tmp_path / name for name in ("one", "two", *other_at, "short", "three", "gone")]
    for path in paths[:-1]:
        changed = bytearray(content)
        if path.name in other_at:
            changed[other_at[path.name]] ^= 1
        path.write_bytes(changed[:-1] if path.name == "short" else changed)
    read = []

    def digest(path):
        read.append(path.name)
        return digest_of(path)

    monkeypatch.setattr("spokestream.pipelines.archive.scans.identity.digest_of", digest)
    assert copies(paths) == [[tmp_path / "one", tmp_path / "two", tmp_path / "three"]]
    assert read == ["one", "two", "between", "three"]  # the others differ where files are compared first


@pytest.mark.parametrize("size", [0, 1, PIECE, 2 * PIECE])
def test_small_files_are_compared_as_a_whole(size, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "other").write_bytes(bytes(max(0, size - 1)) + b"x")
    assert copies(sorted(tmp_path.iterdir())) == [[tmp_path / "one", tmp_path / "two"]]
