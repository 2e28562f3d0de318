"""Networks that come with the software are found by name, and nothing else is."""

from hashlib import sha256

import pytest

from spokestream.errors import InputError
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.denoiser import load_denoiser
from spokestream.models.archives import FOLDER, MATCHING, SEPARATE, archive_path, shipped_networks


def test_networks_go_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.models.archives.FOLDER", tmp_path)
    assert shipped_networks() == {}
    with pytest.raises(InputError, match="no network 'ours'; known are none"):
        archive_path("ours")
    (tmp_path / "ours.pt").touch()
    assert archive_path("ours") == tmp_path / "ours.pt"
    with pytest.raises(InputError, match=r"no network '\.\./ours'; known are ours"):
        archive_path("../ours")


def test_a_separate_archive_that_is_missing_or_damaged_is_one_sentence_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("spokestream.models.archives.FOLDER", tmp_path)
    with pytest.raises(
        InputError, match=rf"copy models/archives/balsiger2020\.pt of the source to {tmp_path}, or give"
    ):
        archive_path("balsiger2020")
    whole = (FOLDER / "balsiger2020.pt").read_bytes()
    (tmp_path / "balsiger2020.pt").write_bytes(whole)
    assert archive_path("balsiger2020") == tmp_path / "balsiger2020.pt"
    (tmp_path / "balsiger2020.pt").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=rf"its SHA-256 is not {SEPARATE['balsiger2020']}\.$"):
        archive_path("balsiger2020")


def test_separate_are_the_archives_over_5_mb_and_their_digests_are_right():
    large = {name: path for name, path in shipped_networks().items() if path.stat().st_size > 5_000_000}
    assert {name: sha256(path.read_bytes()).hexdigest() for name, path in large.items()} == SEPARATE


@pytest.mark.parametrize(
    ("name", "pixel_mm"),
    [  # fields of view over the matrix; shoulder, pelvis and abdomen have 450 mm
        ("ours", (350 / 350, 450 / 350)),
        ("balsiger2020", (350 / 350, 350 / 350)),
        ("ours-fisp-576", (256 / 256, 256 / 256)),
    ],
)
def test_a_shipped_network_says_which_pixels_it_was_trained_for(name, pixel_mm):
    assert load_archive(archive_path(name)).contract.pixel_mm == pixel_mm


@pytest.mark.parametrize("path", sorted(FOLDER.glob("denoisers/*.pt")), ids=lambda path: path.stem)
def test_a_denoiser_is_for_the_images_that_its_name_says(path):
    card = load_denoiser(path).card
    (first_maps,) = card.metrics
    shown = first_maps if first_maps == MATCHING else card.training["settings"]["network"]
    assert path.stem == f"{card.tissue_model}-{shown}-{card.images}"
