"""A denoiser and its archive."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spokestream.errors import FileError
from spokestream.gadgets.model_fit.evidence import n_features
from spokestream.gadgets.network.denoiser import DenoiserCard, load_denoiser, save_denoiser
from spokestream.models.networks.map_network import MapNetwork

N, BLOCKS = 5, 2
BORDER = MapNetwork(n_features(N), N, width=8, blocks=BLOCKS).border
CARD = DenoiserCard("water_fat", "adjoint", BORDER, 1.0, 1.3, {"seed": 1}, {"matching": {"ff": [0.2, 0.1]}})


def a_network(trained=True):
    torch.manual_seed(0)
    network = MapNetwork(n_features(N), N, width=8, blocks=BLOCKS)
    if trained:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return torch.jit.script(network.eval())


def denoised(denoiser, slice_of_noise, threads, check=lambda: None):
    features, x, mask = slice_of_noise
    return denoiser(features, x, mask, threads, check)


class WithoutStd(torch.nn.Module):
    """Gives unknowns only."""

    def forward(self, features, unknowns):
        return unknowns


@pytest.fixture
def slice_of_noise(rng):
    mask = np.zeros((120, 70), bool)
    mask[10:115, 5:60] = rng.random((105, 55)) < 0.8
    n = int(mask.sum())
    features, x = (torch.from_numpy(rng.standard_normal((n, k)).astype(np.float32)) for k in (n_features(N), N))
    return features, x, mask


def test_an_archive_keeps_card_and_network(tmp_path, slice_of_noise):
    save_denoiser(tmp_path / "a.pt", a_network(), CARD)
    found = load_denoiser(tmp_path / "a.pt")
    assert found.card == CARD
    moved, std = denoised(found, slice_of_noise, 1)
    assert moved.shape == std.shape == slice_of_noise[1].shape
    assert (std > 0).all()


def test_a_network_begins_as_the_identity(tmp_path, slice_of_noise):
    save_denoiser(tmp_path / "a.pt", a_network(trained=False), CARD)
    moved, _ = denoised(load_denoiser(tmp_path / "a.pt"), slice_of_noise, 2)
    torch.testing.assert_close(moved, slice_of_noise[1])


def test_threads_and_bands_change_nothing(tmp_path, slice_of_noise, monkeypatch):
    save_denoiser(tmp_path / "a.pt", a_network(), CARD)
    denoiser = load_denoiser(tmp_path / "a.pt")
    one, two = (torch.cat(denoised(denoiser, slice_of_noise, threads)) for threads in (1, 2))
    assert torch.equal(one, two)
    monkeypatch.setattr("spokestream.gadgets.network.denoiser.ROWS", 1000)
    torch.testing.assert_close(torch.cat(denoised(denoiser, slice_of_noise, 1)), one, atol=1e-5, rtol=1e-4)


def test_a_cancelled_scan_stops_between_bands(tmp_path, slice_of_noise):
    save_denoiser(tmp_path / "a.pt", a_network(), CARD)

    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoised(load_denoiser(tmp_path / "a.pt"), slice_of_noise, 1, check)


def test_what_is_no_denoiser_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(FileError, match="is no network archive of"):
        load_denoiser(tmp_path / "text.pt")
    with pytest.raises(FileError, match="There is no network archive"):
        load_denoiser(tmp_path / "missing.pt")
    with pytest.raises(FileError, match="does not run on the evidence"):
        save_denoiser(tmp_path / "b.pt", torch.jit.script(MapNetwork(3, N, width=8, blocks=BLOCKS)), CARD)
    with pytest.raises(FileError, match="does not give unknowns"):
        save_denoiser(tmp_path / "b.pt", torch.jit.script(WithoutStd()), CARD)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tissue_model", "x", "no tissue model"),
        ("border", 99, "64"),
        ("images", "x", "for 'x' images"),
        ("smallest_mm", 2.0, "2 to 1.3 mm"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(field, value, said):
    with pytest.raises(FileError, match=said):
        replace(CARD, **{field: value})
