"""The network over maps: what it begins with, and what it sees of the surroundings of a pixel."""

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2

from spokestream.models.networks.map_network import DISTANCE, LARGEST, LEAST_STD, REACH, MapNetwork, Surroundings

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
    surroundings = Surroundings(N_FEATURES + 1, N, 4)
    torch.nn.init.normal_(surroundings.across.weight)
    given = images(2 + 2 * REACH + 4, 2 + 2 * REACH + 6)
    found = surroundings(given)
    assert found.shape == (1, 4, 4, 6)
    y, x, side = 2, 5, 2 * REACH + 1
    features = torch.relu(surroundings.features(given))[:, :, y : y + side, x : x + side]
    tissue = given[0, -1, 1 + y : 1 + y + side, 1 + x : 1 + x + side] > 0
    mean = features[0][:, tissue].mean(1)
    variation = 2 * (surroundings.variation(given[:, :, 1:-1, 1:-1])[0, :, y, x] - 1)
    across = surroundings.across
    expected = across.weight[:, :, 0, 0] @ torch.cat([mean, variation]) + across.bias
    torch.testing.assert_close(found[0, :, y, x], expected)


def test_the_variation_is_the_squared_difference_of_pairs_over_their_variance_the_best_known_first():
    """Against the sums over all pairs of the square, one by one."""
    given, side, (y, x) = images(2 * REACH + 3, 2 * REACH + 4), 2 * REACH + 1, (1, 3)
    found = Surroundings(N_FEATURES + 1, N, 4).variation(given)
    assert found.shape == (1, N, 3, 4)
    unknowns, std, tissue = 2 * given[0, :N], (2 * (given[0, N : 2 * N] - 1)).exp(), given[0, -1]
    total, weights = torch.zeros(N), torch.zeros(N)
    for row in range(y, y + side):
        for column in range(x, x + side):
            for other in ((row + DISTANCE, column), (row, column + DISTANCE)):
                if other[0] >= y + side or other[1] >= x + side or not tissue[row, column] * tissue[other]:
                    continue
                variance = std[:, row, column].clamp_min(LEAST_STD) ** 2 + std[:, *other].clamp_min(LEAST_STD) ** 2
                square = (unknowns[:, row, column] - unknowns[:, *other]) ** 2
                total += (square / variance).clamp_max(LARGEST) / variance
                weights += 1 / variance
    torch.testing.assert_close(found[0, :, y, x], total / weights, rtol=1e-3, atol=0)


def test_a_variation_does_not_lose_what_is_known_badly_beside_what_is_known_well():
    """Also to the right of and below well-known tissue, in sums that run over a whole slice."""
    given = torch.zeros(1, N_FEATURES + 1, 3 * REACH, 12 * REACH)
    left = given[..., : 8 * REACH]
    left[:, -1], left[:, N : 2 * N] = 1, -1  # standard deviations below the least one
    torch.manual_seed(4)
    few = (torch.rand(given.shape[2:]) < 0.05) & (torch.arange(given.shape[3]) >= 8 * REACH)
    given[0, -1, few], given[0, N : 2 * N, :, 8 * REACH :] = 1, 0.8  # a standard deviation of 0.67
    given[0, :N, few] = torch.randn(N, int(few.sum())) / 2
    surroundings = Surroundings(N_FEATURES + 1, N, 4)
    alone = given[..., 8 * REACH + 1 :]
    found, expected = surroundings.variation(given), surroundings.variation(alone)
    torch.testing.assert_close(found[..., -expected.shape[3] :], expected, rtol=1e-4, atol=0)


def test_differences_that_are_errors_have_the_variation_of_a_limited_chi_square():
    torch.manual_seed(3)
    given = torch.ones(1, N_FEATURES + 1, 6 * REACH, 6 * REACH)
    std = 0.1
    given[:, :N] = torch.randn_like(given[:, :N]) * std / 2
    given[:, N : 2 * N] = torch.log(torch.tensor(std)) / 2 + 1
    found = Surroundings(N_FEATURES + 1, N, 4).variation(given)
    # the mean of a chi-square of one degree of freedom, of which what is beyond LARGEST counts as that
    expected = quad(lambda z: min(z, LARGEST) * chi2.pdf(z, 1), 0, LARGEST)[0] + LARGEST * chi2.sf(LARGEST, 1)
    # 27,000 values, each in four pairs, make a standard error of about 0.01
    torch.testing.assert_close(found.mean(), torch.tensor(expected, dtype=torch.float32), rtol=0.03, atol=0)


def test_surroundings_without_tissue_say_nothing():
    surroundings = Surroundings(N_FEATURES + 1, N, 4)
    torch.nn.init.normal_(surroundings.across.weight)
    empty = torch.zeros(1, N_FEATURES + 1, 2 * REACH + 3, 2 * REACH + 3)
    torch.testing.assert_close(surroundings(empty)[0, :, 0, 0], surroundings.across.bias)
