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


@pytest.mark.parametrize(
    ("name", "pixel_mm"),
    [("ours", 350 / 350), ("balsiger2020", 350 / 350), ("ours-fisp-576", 256 / 128)],  # field of view over matrix
)
def test_a_shipped_network_says_which_pixels_it_was_trained_for(name, pixel_mm):
    assert load_archive(archive_path(name)).contract.pixel_mm == (pixel_mm, pixel_mm)
