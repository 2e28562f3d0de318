"""The network over maps: what it begins with, and what it sees of the surroundings of a pixel."""

import pytest
import torch

from spokestream.models.networks.map_network import REACH, MapNetwork, Surroundings

N_FEATURES, N = 7, 3


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MapNetwork(N_FEATURES, N, width=8, blocks=2)


def images(height, width):
    """Features with a mask of which a third is no tissue, where features are 0."""
    torch.manual_seed(1)
    mask = (torch.rand(1, 1, height, width) < 2 / 3).float()
    return torch.cat([torch.randn(1, N_FEATURES, height, width) * mask, mask], 1)


def test_it_begins_as_the_identity_and_crops_the_border(network):
    unknowns = torch.randn(1, N, 5, 9)
    found = network(images(5 + 2 * network.border, 9 + 2 * network.border), unknowns)
    torch.testing.assert_close(found[:, :N], unknowns)
    assert found.shape == (1, 2 * N, 5, 9)
    assert (found[:, N:] > 0).all()


def test_surroundings_are_means_over_the_tissue_of_a_square():
    torch.manual_seed(2)
    surroundings = Surroundings(N_FEATURES + 1, 4)
    torch.nn.init.normal_(surroundings.across.weight)
    given = images(2 + 2 * REACH + 4, 2 + 2 * REACH + 6)
    found = surroundings(given)
    assert found.shape == (1, 4, 4, 6)
    y, x, side = 2, 5, 2 * REACH + 1
    features = torch.relu(surroundings.features(given))[:, :, y : y + side, x : x + side]
    tissue = given[0, -1, 1 + y : 1 + y + side, 1 + x : 1 + x + side] > 0
    mean = features[0][:, tissue].mean(1)
    across = surroundings.across
    torch.testing.assert_close(found[0, :, y, x], across.weight[:, :, 0, 0] @ mean + across.bias)


def test_surroundings_without_tissue_say_nothing():
    surroundings = Surroundings(N_FEATURES + 1, 4)
    empty = torch.zeros(1, N_FEATURES + 1, 2 * REACH + 3, 2 * REACH + 3)
    torch.testing.assert_close(surroundings(empty)[0, :, 0, 0], surroundings.across.bias)
