"""Networks that come with the software are found by name, and nothing else is."""

import pytest

from spokestream.errors import InputError
from spokestream.gadgets.network.archive import load_archive
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


@pytest.mark.parametrize("name", ["ours", "balsiger2020"])
def test_a_shipped_network_says_which_pixels_it_was_trained_for(name):
    assert load_archive(archive_path(name)).contract.pixel_mm == (1.0, 1.0)  # 350 mm in 350 pixels
