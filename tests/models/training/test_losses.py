"""Losses against their formulas, on numbers that can be checked by hand."""

import math

import pytest
import torch

from spokestream.models.training.losses import (
    absolute_difference,
    gaussian_likelihood,
    mean_squared,
    relative_difference,
    root_mean_squared,
)

TARGET = torch.tensor([0.5, 0.8, 0.2, 0.0]).reshape(1, 1, 2, 2)
PREDICTION = torch.tensor([0.7, 0.8, 0.1, 0.9]).reshape(1, 1, 2, 2)
WEIGHT = torch.tensor([1.0, 1.0, 1.0, 0.0]).reshape(1, 1, 2, 2)


def test_the_mean_square_counts_masked_voxels_as_zero():
    assert float(mean_squared(PREDICTION, TARGET, WEIGHT)) == pytest.approx((0.04 + 0.01) / 4)


def test_the_root_mean_square_is_that_of_the_voxels_that_count():
    assert float(root_mean_squared(PREDICTION, TARGET, WEIGHT)) == pytest.approx(math.sqrt(0.05 / 3))


def test_differences_are_relative_to_the_target():
    assert float(relative_difference(PREDICTION, TARGET, WEIGHT)) == pytest.approx((0.2 / 0.5 + 0.1 / 0.2) / 3)


def test_on_a_logarithmic_scale_the_difference_is_relative():
    assert float(absolute_difference(PREDICTION, TARGET, WEIGHT)) == pytest.approx((0.2 + 0.1) / 3)
    decades, error = 3, 0.01  # of the map, in a range from 1 to 1,000
    value = 10 ** (decades * TARGET)
    wrong = torch.log10(value * (1 + error)) / decades
    found = float(absolute_difference(wrong, TARGET, WEIGHT)) * decades * math.log(10)
    assert found == pytest.approx(error, rel=0.01)


def test_a_target_of_zero_does_not_make_the_relative_difference_infinite():
    assert math.isfinite(float(relative_difference(PREDICTION, TARGET, torch.ones_like(WEIGHT))))


def test_the_likelihood_is_least_where_the_deviation_is_the_error():
    error = 0.1

    def slope(std):
        spread = torch.full_like(TARGET, std, requires_grad=True)
        loss = gaussian_likelihood(torch.cat((TARGET + error, spread), 1), TARGET, torch.ones_like(TARGET))
        loss.backward()
        return float(spread.grad.sum())

    assert slope(0.09) < 0 < slope(0.11)
    assert slope(0.1) == pytest.approx(0, abs=1e-6)


def test_the_pull_on_the_mean_is_the_error_over_the_deviation():
    # Seitzer et al. 2022: with the variance to the power of one half, (mean - target) / std
    mean = (TARGET + 0.1).requires_grad_()
    loss = gaussian_likelihood(torch.cat((mean, torch.full_like(TARGET, 0.2)), 1), TARGET, torch.ones_like(TARGET))
    loss.backward()
    torch.testing.assert_close(mean.grad, torch.full_like(TARGET, 0.1 / 0.2 / 4))


def test_voxels_without_weight_pull_at_nothing():
    mean = (TARGET + 0.1).requires_grad_()
    gaussian_likelihood(torch.cat((mean, torch.full_like(TARGET, 0.2)), 1), TARGET, WEIGHT).backward()
    assert mean.grad is not None
    assert mean.grad[0, 0, 1, 1] == 0


@pytest.mark.parametrize(
    "loss", [mean_squared, root_mean_squared, relative_difference, absolute_difference, gaussian_likelihood]
)
def test_whoever_has_a_share_of_a_batch_gets_the_loss_of_all_of_it(loss):
    torch.manual_seed(0)
    prediction, target = torch.rand(5, 4 if loss is gaussian_likelihood else 2, 3, 4), torch.rand(5, 2, 3, 4)
    weight = torch.rand(5, 2, 3, 4) * (torch.rand(5, 2, 3, 4) > torch.linspace(0, 0.9, 5)[:, None, None, None])
    mine, others = [(t[:2], t[2:]) for t in (prediction, target, weight)], []

    def note(part):
        others.append(part)
        return part

    loss(*[t for _, t in mine], note)
    theirs = iter(others)
    together = loss(*[t for t, _ in mine], lambda part: part + next(theirs))
    torch.testing.assert_close(together, loss(prediction, target, weight))
