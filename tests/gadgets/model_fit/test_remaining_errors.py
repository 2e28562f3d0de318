"""Errors that residuals still show: against the Wiener filter where errors and noise are known, and for true maps."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice
from spokestream.gadgets.model_fit.remaining_errors import OWN_NOISE, without_remaining_errors
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

SHAPE = (61, 47)
MUSCLE = {"ff": 0.15, "t1h2o": 1300.0, "t1fat": 340.0, "deltaf": 23.0, "b1": 0.72}
T1 = WATER_FAT.names.index("t1h2o")
NOISE = 0.001
"""Standard deviation of the real and of the imaginary part of a coefficient, relative to the proton density."""


@pytest.fixture(scope="module")
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


class Muscle:
    """A slice of muscle with white noise; `truth` are its unknowns, `noise` the Cramer-Rao bound of each."""

    def __init__(self, closed_form, rng, noise=NOISE, **values):
        mask = np.zeros((SHAPE[0] + 5, SHAPE[1] + 2), bool)
        mask[2:-3, 1:-1] = True
        n = int(mask.sum())
        columns = [torch.full((n,), (MUSCLE | values)[name]) for name in WATER_FAT.names]
        signal = closed_form.at(*columns, efficiency=0.95)[0]
        white = rng.standard_normal((2, *signal.shape)) * noise
        scales = Unknowns(WATER_FAT, {})
        y = (signal + torch.tensor(white[0] + 1j * white[1])).to(torch.complex64)
        self.measured = MeasuredSlice(y, closed_form, scales, 0.95, mask, 2, lambda: None, 1.0)
        self.truth = scales.of(columns)
        fisher = self.measured.equations_at(self.truth).fisher[0] / NOISE**2
        self.noise = torch.linalg.pinv(fisher, hermitian=True).diagonal().sqrt()


@pytest.fixture(scope="module")
def muscle(closed_form):
    return Muscle(closed_form, np.random.default_rng(5))


def test_true_maps_move_by_less_than_they_are_known_to(muscle):
    std = 0.5 * muscle.noise.expand_as(muscle.truth)
    x, left = without_remaining_errors(muscle.measured, muscle.truth, std)
    error = x - muscle.truth
    assert (error.square().mean(0) < left.mean(0)).all()
    assert (left.mean(0).sqrt() < muscle.noise).all()


@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
def test_texture_comes_back_as_far_as_noise_lets_it(muscle, ratio, rng):
    """Errors of single voxels, of a known variance, are removed as by the Wiener filter for it and this noise."""
    noise, std = float(muscle.noise[T1]), ratio * float(muscle.noise[T1])
    first = muscle.truth.clone()
    first[:, T1] += std * torch.tensor(rng.standard_normal(len(first)), dtype=torch.float32)
    claimed = torch.full_like(first, 0.2 * noise)  # as a network that does not know of the texture
    x, left = without_remaining_errors(muscle.measured, first, claimed)
    error = (x - muscle.truth)[:, T1]
    gain = std**2 / (std**2 + OWN_NOISE * noise**2)
    wiener = np.hypot((1 - gain) * std, gain * noise)
    # a variance from the 225 voxels of a neighbourhood is known to sqrt(2 / 225), a gain to as much of 1 - gain
    unsure = (2 / 225) ** 0.5 * gain * (1 - gain) * np.hypot(std, noise)
    n = len(error)
    assert error.std() < np.hypot(wiener, unsure) * (1 + 4 / np.sqrt(2 * n))
    within = (error.abs() < left[:, T1].sqrt()).float().mean()
    assert within > 0.68 - 4 * np.sqrt(0.68 * 0.32 / n)
    assert within < 0.9  # they are not just large


def test_what_a_region_shares_is_removed_where_the_noise_of_a_voxel_hides_it(muscle):
    shift = 0.5 * muscle.noise[T1]
    first = muscle.truth.clone()
    first[:, T1] += shift
    x, _ = without_remaining_errors(muscle.measured, first, shift * torch.ones_like(first))
    inner = torch.zeros(muscle.measured.mask.shape)
    inner[14:-15, 13:-13] = 1  # farther from the border than the widest Gaussian reaches
    error = (x - muscle.truth)[inner[muscle.measured.mask] > 0, T1]
    assert error.mean().abs() < 0.1 * shift
    outside = (x - muscle.truth)[:, [i for i in range(5) if i != T1]]
    assert (outside.mean(0).abs() < 0.1 * muscle.noise[[i for i in range(5) if i != T1]]).all()


def test_a_parameter_of_which_the_signal_says_nothing_stays_and_is_unknown(closed_form):
    """Water has no fat T1: the residuals do not speak of it."""
    water = Muscle(closed_form, np.random.default_rng(6), ff=0.0)
    x, left = without_remaining_errors(water.measured, water.truth, torch.full_like(water.truth, 0.1))
    fat_t1 = WATER_FAT.names.index("t1fat")
    torch.testing.assert_close(x[:, fat_t1], water.truth[:, fat_t1])
    assert (left[:, fat_t1] == 1).all()  # a quarter of its range


def test_data_without_noise_have_finite_standard_deviations(closed_form):
    exact = Muscle(closed_form, np.random.default_rng(7), noise=0.0)
    x, left = without_remaining_errors(exact.measured, exact.truth, torch.full_like(exact.truth, 0.1))
    assert torch.isfinite(left).all()
    torch.testing.assert_close(x, exact.truth, rtol=0, atol=1e-3)
