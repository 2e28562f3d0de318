"""How images become fingerprints, and networks start."""

import pytest
import torch
from torch import nn

from spokestream.models.networks.layers import FingerprintNetwork, initialise_rectified


class Echo(FingerprintNetwork):
    """All real parts in the order of time, then all imaginary ones."""

    def maps(self, fingerprints):
        return fingerprints.flatten(1)


@pytest.mark.parametrize("pixels_at_once", [1, 4, 1000])
def test_fingerprints_are_those_of_the_complex_images(pixels_at_once):
    images = torch.randn(2, 5, 3, 4, dtype=torch.complex64)
    network = Echo(5, 10)
    network.pixels_at_once = pixels_at_once
    interleaved = torch.view_as_real(images).permute(0, 1, 4, 2, 3).flatten(1, 2)
    echo = network(interleaved)
    assert torch.equal(torch.complex(echo[:, :5], echo[:, 5:]), images)


def test_features_keep_their_energy_through_many_rectified_layers():
    torch.manual_seed(5)
    layers = nn.Sequential(*[m for _ in range(12) for m in (nn.Conv2d(400, 400, 1), nn.ReLU())])
    initialise_rectified(layers)
    x = torch.randn(1, 400, 9, 11)
    with torch.no_grad():
        assert layers(x).square().mean() == pytest.approx(float(x.square().mean()), rel=0.5)
