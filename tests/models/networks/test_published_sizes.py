"""Parameters of every network against those that are published for 175 frames and five maps."""

import numpy as np
import pytest
import torch

from spokestream.errors import InputError
from spokestream.models.networks.balsiger2018 import Balsiger2018
from spokestream.models.networks.cohen2018 import Cohen2018, Drone
from spokestream.models.networks.fang2019 import Fang2019, Pretraining
from spokestream.models.networks.hoppe2017 import Hoppe2017
from spokestream.models.networks.oksuz2019 import Oksuz2019
from spokestream.models.networks.song2019 import Song2019

FRAMES, MAPS = 175, 5


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_cohen_has_two_hidden_layers_of_300():
    assert n_parameters(Cohen2018(FRAMES, MAPS)) == 197_105


def test_drone_has_25_magnitudes_and_two_maps():
    assert n_parameters(Drone(25, 2)) == (25 + 1) * 300 + (300 + 1) * 300 + (300 + 1) * 2


def test_hoppe_comes_to_0_05_million():
    assert n_parameters(Hoppe2017(FRAMES, MAPS)) == 48_395


def test_oksuz_has_one_more_bias_a_gate_than_published():
    network = Oksuz2019(FRAMES, MAPS)
    assert n_parameters(network) - network.gru.bias_hh_l0.numel() == 118_405


def test_fang_has_features_and_a_unet():
    network = Fang2019(FRAMES, MAPS)
    assert n_parameters(network) == 3_838_573
    assert n_parameters(network.features) == 22_632


def test_song_is_about_as_large_as_its_weight_file():
    assert 4 * n_parameters(Song2019(200, 2)) == pytest.approx(20.3e6, rel=0.05)


def test_balsiger_2018_takes_any_number_of_windows():
    at_673, at_100 = (n_parameters(Balsiger2018(n, 3)) for n in (673, 100))
    assert at_673 - at_100 == 2 * 573 * 256


def test_hoppe_says_how_many_images_it_needs():
    Hoppe2017(90, MAPS)
    with pytest.raises(InputError, match="at least 90 images, not 89"):
        Hoppe2017(89, MAPS)


def test_fang_refuses_fingerprints_without_features():
    with pytest.raises(ValueError, match="at least one feature"):
        Fang2019(FRAMES, MAPS, 0)


@torch.no_grad()
def test_cohen_as_published_is_this_formula():
    network = Cohen2018(3, 2)
    x = torch.randn(1, 6, 2, 3)
    one, two, three = ((p.numpy()[..., 0, 0], b.numpy()) for p, b in zip(*[network.parameters()] * 2, strict=True))
    hidden = np.tanh(two[0] @ np.tanh(one[0] @ x.numpy()[0, :, 1, 2] + one[1]) + two[1])
    expected = 1 / (1 + np.exp(-(three[0] @ hidden + three[1])))
    np.testing.assert_allclose(network(x)[0, :, 1, 2], expected, rtol=1e-5)


def test_the_first_step_of_fang_trains_the_features_of_the_network():
    network = Fang2019(5, 2, 4)
    first = Pretraining(network)
    before = [p.clone() for p in network.features.parameters()]
    optimiser = torch.optim.Adam(first.parameters(), 1e-2)
    first(torch.randn(1, 10, 72, 72)).square().sum().backward()
    optimiser.step()
    assert any(not torch.equal(b, p) for b, p in zip(before, network.features.parameters(), strict=True))
    assert all(p.grad is None for p in network.unet.parameters())
