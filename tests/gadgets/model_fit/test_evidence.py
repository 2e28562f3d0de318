"""The evidence of a slice: what its numbers mean, and that they mean the same for every train."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.model_fit.evidence import evidence, n_features, unknowns_and_std
from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHAPE = (9, 11)
VALUES = {"ff": 0.3, "t1h2o": 1300.0, "t1fat": 340.0, "deltaf": 23.0, "b1": 0.72}
NOISE = 1e-3


@pytest.fixture(scope="module")
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


@pytest.fixture
def measured(closed_form, basis, rng):
    """A slice of one tissue with a little noise."""
    signal = closed_form.at(*(torch.tensor([value]) for value in VALUES.values()))[0].numpy()[0]
    noise = NOISE * np.abs(signal).mean() * (rng.standard_normal((2, *SHAPE, len(signal))))
    y = (signal + noise[0] + 1j * noise[1]) * basis.noise
    mask = np.ones(SHAPE, bool)
    coefficients = np.moveaxis(y, -1, 0).astype(np.complex64)
    return MeasuredSlice.of(coefficients, mask, closed_form, 1.0, None, 1, lambda: None, 0.8)


def at_truth(measured):
    return measured.scales.of([torch.full((measured.mask.sum(),), value) for value in VALUES.values()])


def step_of(features):
    return features[:, 10:15] / 4


def std_of(features):
    return (2 * (features[:, 15:20] - 1)).exp()


def test_the_step_leads_from_wrong_maps_to_the_truth(measured):
    x = at_truth(measured)
    wrong = x + torch.tensor([0.01, 0.02, -0.03, 0.01, -0.01])
    features = evidence(measured, wrong, torch.full_like(x, 0.1))
    remaining, std = wrong + step_of(features) - x, std_of(features)
    assert remaining.shape == (99, 5)
    assert (remaining.abs() < 5 * std + 0.002).all()  # 0.002: the signal is not linear in the unknowns
    assert (std < 0.02).all()


def test_all_features_are_of_the_order_of_one(measured):
    x = at_truth(measured)
    features = evidence(measured, x, torch.full_like(x, 0.1))
    assert features.shape == (99, n_features(5))
    assert features.abs().max() < 4


def test_a_network_finds_the_unknowns_and_their_standard_deviations_in_the_features(measured, rng):
    x = at_truth(measured)
    std = torch.from_numpy(rng.uniform(0.001, 1, x.shape)).float()
    features = evidence(measured, x, std)
    unknowns, found = unknowns_and_std(features.T[None, :, :, None], 5)
    torch.testing.assert_close(unknowns[0, :, :, 0].T + measured.scales.usual, x)
    torch.testing.assert_close(found[0, :, :, 0].T, std)


def test_bfloat16_resolves_values_far_better_than_they_are_known(measured):
    """The logarithm of a water T1 itself would have steps of 47 ms."""
    x = at_truth(measured)
    features = evidence(measured, x, torch.full_like(x, 0.1))[:1, :5].repeat(2, 1)
    differences = torch.tensor([0.003, 4.0, 3.0, 0.5, 0.003])
    slopes = 1 / (2 * measured.scales.units * torch.tensor([1, 1300.0, 340.0, 1, 1]))
    features[1] += differences * slopes
    rounded = features.bfloat16()
    assert (rounded[0] != rounded[1]).all()


def test_the_unit_of_the_signal_does_not_matter(measured, closed_form, basis):
    x = at_truth(measured)
    std = torch.full_like(x, 0.1)
    expected = evidence(measured, x, std)
    louder = MeasuredSlice(1e4 * measured.y, closed_form, measured.scales, 1.0, measured.mask, 1, lambda: None, 0.8)
    torch.testing.assert_close(evidence(louder, x, std), expected, atol=2e-3, rtol=0)


def test_more_noise_shows_in_the_standard_deviations_of_the_step(measured, closed_form, rng):
    x = at_truth(measured)
    noise = 0.1 * measured.y.abs().mean() * torch.from_numpy(rng.standard_normal(measured.y.shape).astype(np.float32))
    noisy = MeasuredSlice(measured.y + noise, closed_form, measured.scales, 1.0, measured.mask, 1, lambda: None, 0.8)
    quiet, loud = (evidence(one, x, torch.full_like(x, 0.1))[:, 15:20] for one in (measured, noisy))
    assert (loud > quiet + 0.5).all()
