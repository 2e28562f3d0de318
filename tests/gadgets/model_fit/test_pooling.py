"""Sums over neighbours: the kernel without differences, the mask, and the weights of neighbours that differ."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.model_fit.pooling import REACH, WIDTH, Pool


def summed(mask, guide, variance, values, tolerance=1.0, threads=1):
    guide, variance = (torch.tensor(x, dtype=torch.float32) for x in (guide, variance))
    pool = Pool(mask, guide, variance, tolerance, threads)
    return pool.sums(torch.tensor(values, dtype=torch.float32)).numpy()


def test_without_differences_it_is_a_gaussian_inside_the_mask(rng):
    mask = rng.random((13, 17)) < 0.7
    values = rng.standard_normal((mask.sum(), 2)).astype(np.float32)
    found = summed(mask, np.zeros((mask.sum(), 3)), np.ones((mask.sum(), 3)), values)
    places = np.argwhere(mask)
    squared = ((places[:, None] - places) ** 2).sum(-1)
    weights = np.where(squared <= REACH**2, np.exp(-squared / (2 * WIDTH**2)), 0)
    assert np.allclose(found, weights @ values, atol=1e-5)


@pytest.mark.parametrize(("difference", "weight"), [(0.0, 1.0), (2.0, 1.0), (4.0, np.exp(-3 / 0.5))])
def test_a_neighbour_counts_less_if_its_difference_is_more_than_the_variances_explain(difference, weight):
    # the squared difference over the variance of both is 0, 1 and 4; what exceeds 1 counts
    mask = np.ones((1, 2), bool)
    found = summed(mask, [[0.0], [difference]], [[1.0], [3.0]], [[1.0], [10.0]], tolerance=0.5)
    assert found[0, 0] == pytest.approx(1 + 10 * weight * np.exp(-1 / (2 * WIDTH**2)), rel=1e-5)


def test_the_mean_over_all_parts_of_the_guide_decides():
    mask, values = np.ones((1, 2), bool), [[0.0], [1.0]]
    one, two = ([[0.0, 0.0], [4.0, x]] for x in (0.0, 4.0))
    ones = np.full((2, 2), 2.0)
    near = np.exp(-1 / (2 * WIDTH**2))
    assert summed(mask, one, ones, values)[0, 0] == pytest.approx(near * np.exp(-(2 - 1)), rel=1e-5)
    assert summed(mask, two, ones, values)[0, 0] == pytest.approx(near * np.exp(-(4 - 1)), rel=1e-5)


def test_a_cancelled_scan_stops_it():
    def stop():
        raise RuntimeError("stopped")

    mask, guide = np.ones((4, 4), bool), torch.zeros(16, 1)
    with pytest.raises(RuntimeError, match="stopped"):
        Pool(mask, guide, torch.ones(16, 1), 1.0, check=stop)
