"""Networks that come with the software are found by name, and nothing else is."""

import pytest

from spokestream.errors import InputError
from spokestream.models.archives import archive_path, shipped_networks


def test_networks_go_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.models.archives.FOLDER", tmp_path)
    assert shipped_networks() == {}
    with pytest.raises(InputError, match="no network 'ours'; known are none"):
        archive_path("ours")
    (tmp_path / "ours.pt").touch()
    assert archive_path("ours") == tmp_path / "ours.pt"
    with pytest.raises(InputError, match=r"no network '\.\./ours'; known are ours"):
        archive_path("../ours")
