"""Refined maps: against truth without noise, against the Cramer-Rao bound with white noise, and at edges."""

import numpy as np
import pytest
import torch
from small_scan import relaxation_dictionary
from toy_tissue import TOY, add_toy_model

from spokestream.gadgets.model_fit.own_fit import equations, own_fit
from spokestream.gadgets.model_fit.refine import refined_maps
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

STEPS = {"t1h2o": 10.0, "t1fat": 25.0, "deltaf": 10.0, "b1": 0.05, "ff": 0.05}
"""The grid of Balsiger et al. 2020, whose steps the fit has to remove."""
LIMITS = {"b1": (0.3, 1.3)}
MUSCLE = {"ff": 0.2, "t1h2o": 1300.0, "t1fat": 340.0, "deltaf": 23.0, "b1": 0.72}


@pytest.fixture(scope="module")
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


def tissue(rng, n):
    return {
        "ff": rng.uniform(0.1, 0.6, n), "t1h2o": rng.uniform(700, 1900, n), "t1fat": rng.uniform(250, 400, n),
        "deltaf": rng.uniform(-90, 90, n), "b1": rng.uniform(0.4, 0.95, n),
    }  # fmt: skip


def columns(values):
    return [torch.tensor(values[name], dtype=torch.float32) for name in WATER_FAT.names]


def nearest(values):
    return {name: np.round(value / STEPS[name]) * STEPS[name] for name, value in values.items()}


def signals(closed_form, values, rho, efficiency=1.0):
    return rho * closed_form.at(*columns(values), efficiency=efficiency)[0]


def white(rng, shape, std):
    """Complex noise with this standard deviation in its real and its imaginary part."""
    return torch.tensor(std * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)), dtype=torch.complex64)


def test_without_noise_the_truth_is_found_from_the_nearest_atom(closed_form, rng):
    truth = tissue(rng, 500)
    scales = Unknowns(WATER_FAT, LIMITS)
    y = signals(closed_form, truth, 3 * torch.exp(torch.tensor(1j * rng.uniform(-3, 3, (500, 1))))).to(torch.complex64)
    first = scales.of(columns(nearest(truth)))
    found, _ = own_fit(y, first, scales, closed_form, 1.0)
    # coefficients in single precision have a rounding noise of about 1e-6 of the largest one after all sums, and no fit
    # finds parameters to better than the Cramer-Rao bound of this noise
    at_truth = equations(y, scales.of(columns(truth)), scales, closed_form, 1.0)
    variance = (1e-6 * y.abs().amax(1)).square()
    bound = (torch.linalg.inv(at_truth.fisher).diagonal(dim1=1, dim2=2) * variance[:, None]).sqrt()
    error = (found - scales.of(columns(truth))).abs()
    assert (error < bound).all()
    assert bound.amax() < 1e-3  # of a quarter of the range: far less than a step of the grid


def test_errors_of_white_noise_have_the_standard_deviation_of_the_cramer_rao_bound(closed_form, rng):
    n, std = 4000, 0.002
    truth = {name: np.full(n, value) for name, value in {**MUSCLE, "ff": 0.4}.items()}
    y = signals(closed_form, truth, 1.0) + white(rng, (n, len(closed_form.basis.te_ms)), std)
    scales = Unknowns(WATER_FAT, LIMITS)
    found, at = own_fit(y, scales.of(columns(nearest(truth))), scales, closed_form, 1.0)
    error = found - scales.of(columns(truth))
    fisher = equations(signals(closed_form, truth, 1.0)[:1], scales.of(columns(truth))[:1], scales, closed_form, 1.0)
    # the fit is drawn to its first values with a standard deviation of 1
    information = fisher.fisher[0] / std**2
    gain = torch.linalg.solve(information + torch.eye(5), information)
    bound = (gain @ torch.linalg.inv(information) @ gain.T).diagonal().sqrt()
    # the standard deviation of n errors is known to 1 / sqrt(2 n), here 1.1 %; four of these, and what the bound leaves
    # out: the fit is not linear, by at most the error in units of the range times the error
    allowed = 4 / np.sqrt(2 * n) + error.std(0)
    assert ((error.std(0) / bound - 1).abs() < allowed).all()
    assert at.variance.mean() == pytest.approx(std**2, rel=4 / np.sqrt(n * (2 * y.shape[1] - 7)) * np.sqrt(2))


def scene(closed_form, rng, shape, std, **maps):
    """Coefficients, and first maps on the grid, of a slice of muscle with some maps of its own; bright noise."""
    values = {name: np.broadcast_to(maps.get(name, value), shape).ravel() for name, value in MUSCLE.items()}
    y = signals(closed_form, values, 1.0)
    y = (y + white(rng, y.shape, std)) * torch.from_numpy(closed_form.basis.noise)
    first = {name: value.reshape(shape).astype(np.float32) for name, value in nearest(values).items()}
    return y.T.reshape(-1, *shape).numpy(), first, {name: value.reshape(shape) for name, value in values.items()}


def test_pooled_maps_have_smaller_errors_and_their_standard_deviations(closed_form, rng):
    shape, ff = (100, 100), 0.4  # which tells the T1 of both pools
    coefficients, first, truth = scene(closed_form, rng, shape, 0.02, ff=ff)
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=LIMITS)
    scales = Unknowns(WATER_FAT, LIMITS)
    voxel = [torch.tensor([{**MUSCLE, "ff": ff}[name]]) for name in WATER_FAT.names]
    y = closed_form.at(*voxel)[0]
    information = equations(y, scales.of(voxel), scales, closed_form, 1.0).fisher / 0.02**2
    bound = torch.linalg.inv(information + torch.eye(5)).diagonal(dim1=1, dim2=2).sqrt()
    inside = (slice(4, -4), slice(4, -4))
    for name, alone in zip(WATER_FAT.names, scales.std(bound, voxel), strict=True):
        error, std = (found[name] - truth[name])[inside], np.median(found[f"{name}_std"][inside])
        # the kernel alone averages 4 pi 2^2 = 50 voxels; those whose fits differ much by their noise count less
        assert error.std() < float(alone) / 2
        # errors repeat every 50 voxels, so that their standard deviation is known to 1 / sqrt(2 92^2 / 50), 5.4 %;
        # three of these, and a fifth, by which errors are larger because the weights follow the noise
        assert 1 - 0.17 < error.std() / std < 1 / (1 - 0.17) * 1.2
        assert abs(error.mean()) < std / 3


def test_an_edge_keeps_its_contrast(closed_form, rng):
    shape = (60, 60)
    t1 = np.where(np.arange(60) < 30, 1000.0, 1500.0)
    coefficients, first, _ = scene(closed_form, rng, shape, 0.02, t1h2o=t1)
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=LIMITS)["t1h2o"]
    before, after = found[5:-5, 29].mean(), found[5:-5, 30].mean()
    # 0.85 of the contrast remain between two neighbouring pixels; the mean of 50 rows is known to 0.03 of it
    assert 0.75 < (after - before) / 500 < 1.05
    # the kernel without its guide would leave the difference of its cumulative distribution, about 0.2
    assert abs(found[5:-5, :28].mean() - 1000) < 10
    assert abs(found[5:-5, 32:].mean() - 1500) < 25


def test_a_vessel_of_one_pixel_stays(closed_form, rng):
    shape = (31, 31)
    t1 = np.full(shape, 1200.0)
    t1[15, 15] = 1900.0
    coefficients, first, _ = scene(closed_form, rng, shape, 0.01, t1h2o=t1)
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=LIMITS)["t1h2o"]
    around = np.delete(found[13:18, 13:18].ravel(), 12)
    assert found[15, 15] - 1200 > 0.9 * 700
    assert np.abs(around - 1200).max() < 0.1 * 700


@pytest.mark.parametrize("with_std", [False, True])
def test_the_number_of_threads_changes_no_bit(closed_form, rng, with_std):
    shape = (80, 90)
    coefficients, first, _ = scene(closed_form, rng, shape, 0.05)
    if with_std:
        first = {**first, "t1h2o_std": np.full(shape, 20, np.float32)}
    mask = rng.random(shape) < 0.8
    found, before = [], torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(refined_maps(coefficients, first, mask, closed_form, limits=LIMITS, threads=threads))
    torch.set_num_threads(before)
    one, two, three = found
    assert one.keys() == {name + end for name in WATER_FAT.names for end in ("", "_std")}
    for name, values in one.items():
        assert np.array_equal(values, two[name])
        assert np.array_equal(values, three[name])
        assert not values[~mask].any()


def test_what_the_signal_does_not_tell_has_a_large_standard_deviation(closed_form, rng):
    shape = (40, 80)
    ff = np.where(np.arange(80) < 40, 0.0, 1.0)
    coefficients, first, _ = scene(closed_form, rng, shape, 0.02, ff=ff)
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=LIMITS)
    lean, fat = (slice(5, -5), slice(5, 35)), (slice(5, -5), slice(45, 75))
    ff, t1h2o, t1fat = (np.abs(found[name]) for name in ("ff", "t1h2o", "t1fat"))
    # quarters of the ranges 2300 ms and 475 ms, relative to the usual 1000 ms and 350 ms
    assert np.median((found["t1fat_std"] / t1fat)[lean]) == pytest.approx(0.25 * 475 / 350, rel=0.05)
    assert np.median((found["t1h2o_std"] / t1h2o)[fat]) == pytest.approx(0.25 * 2300 / 1000, rel=0.05)
    assert np.median((found["t1h2o_std"] / t1h2o)[lean]) < 0.03
    assert np.median((found["t1fat_std"] / t1fat)[fat]) < 0.04
    assert np.median(ff[lean]) < 0.01 < 0.99 < np.median(ff[fat])


def test_values_stay_within_the_limits_of_the_method(closed_form, rng):
    shape = (20, 20)
    coefficients, first, _ = scene(closed_form, rng, shape, 0.02, deltaf=150.0, b1=0.28)
    first = {**first, "deltaf": np.full(shape, 120, np.float32), "b1": np.full(shape, 0.3, np.float32)}
    limits = {"deltaf": (-120.0, 120.0), "b1": (0.3, 1.0)}
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=limits)
    assert (found["deltaf"] == np.float32(120)).mean() > 0.9  # so that the check of the limits still sees them
    assert found["b1"].min() >= np.float32(0.3)


def test_a_pool_that_a_voxel_does_not_hold_has_no_property(closed_form, rng):
    shape = (12, 12)
    coefficients, first, _ = scene(closed_form, rng, shape, 0.02, ff=0.0)
    first["t1fat"][:, :6] = 0
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form, limits=LIMITS)
    for name in ("t1fat", "t1fat_std"):
        assert not found[name][:, :6].any()
        assert found[name][:, 6:].all()


def test_maps_of_small_errors_are_corrected_and_stay_within_their_standard_deviations(closed_form, rng):
    """An error of 30 ms, which the noise of a region hides."""
    shape = (40, 40)
    coefficients, _, truth = scene(closed_form, rng, shape, 0.02)
    off = {name: values.astype(np.float32) for name, values in truth.items()}
    off["t1h2o"] = off["t1h2o"] - 30
    for std, low, high in ((1.0, 0.9, 1.0), (500.0, 0.0, 0.3)):
        stds = {f"{name}_std": np.full(shape, 1e-4 * abs(MUSCLE[name]), np.float32) for name in truth}
        given = {**off, **stds, "t1h2o_std": np.full(shape, std, np.float32)}
        found = refined_maps(coefficients, given, np.ones(shape, bool), closed_form, limits=LIMITS)
        kept = -np.mean(found["t1h2o"] - 1300) / 30
        assert low <= kept <= high
        # the standard deviation of the logarithm
        np.testing.assert_allclose(found["t1h2o_std"] / found["t1h2o"], std / off["t1h2o"], rtol=1e-4)


@pytest.mark.parametrize("seen", [None, 0.7], ids=["adjoint", "consistent"])
def test_a_map_that_claims_to_be_exact_in_one_voxel_stays_a_map(closed_form, rng, seen):
    shape = (20, 20)
    coefficients, first, truth = scene(closed_form, rng, shape, 0.02)
    given = {**first, **{f"{name}_std": np.full(shape, 0.1 * abs(MUSCLE[name]), np.float32) for name in truth}}
    given["t1h2o_std"][7, 8] = 1e-25
    found = refined_maps(coefficients, given, np.ones(shape, bool), closed_form, limits=LIMITS, seen=seen)
    assert all(np.isfinite(values).all() for values in found.values())


def test_where_a_region_contradicts_maps_they_follow_the_signal_and_become_less_certain(closed_form, rng):
    """As those of a network for B1 that it has never seen: sure of itself, and wrong in half of the slice."""
    shape = (40, 80)
    coefficients, _, truth = scene(closed_form, rng, shape, 0.005)
    given = {name: values.astype(np.float32) for name, values in truth.items()}
    given["b1"][:, 40:] += 0.1
    given["t1h2o"][:, 40:] -= 100
    sure = {"ff": 0.01, "t1h2o": 20, "t1fat": 10, "deltaf": 1, "b1": 0.005}
    given |= {f"{name}_std": np.full(shape, std, np.float32) for name, std in sure.items()}
    found = refined_maps(coefficients, given, np.ones(shape, bool), closed_form, limits=LIMITS)
    right, wrong = (slice(5, -5), slice(5, 30)), (slice(5, -5), slice(50, 75))
    for name, before in (("b1", 0.1), ("t1h2o", -100)):
        error, std = found[name] - truth[name], found[f"{name}_std"]
        assert abs(error[wrong].mean()) < abs(before) / 5
        assert np.mean(np.abs(error[wrong]) < 2 * std[wrong]) > 0.9
        assert np.median(std[wrong]) > 1.5 * sure[name]
        np.testing.assert_allclose(std[right], sure[name], rtol=0.1)
        assert np.abs(error[right]).mean() < sure[name]


@pytest.mark.parametrize("model", ["relaxation", "toy"])
def test_a_model_of_one_pool_is_refined_beyond_the_steps_of_its_grid(model, rng, monkeypatch):
    add_toy_model(monkeypatch)
    shape = (16, 15)
    if model == "toy":
        sequence = load_sequence("t1ff-2d-1400")
        dictionary, tissue_model = TOY.dictionary(sequence), TOY
        truth = {"toy_t1": np.full(shape, 1143.0), "b1": np.full(shape, 0.87)}
        first = {"toy_t1": np.full(shape, 1100.0, np.float32), "b1": np.full(shape, 0.8, np.float32)}
    else:
        dictionary = relaxation_dictionary(np.geomspace(300, 3000, 30), np.geomspace(20, 200, 20))
        sequence, tissue_model = dictionary.sequence, RELAXATION
        truth = {"t1": np.full(shape, 937.0), "t2": np.full(shape, 63.0)}
        first = {"t1": np.full(shape, 1000.0, np.float32), "t2": np.full(shape, 57.0, np.float32)}
    basis = compressed_basis(sequence, dictionary.atoms, 1e-8)
    closed_form = tissue_model.closed_form(sequence, basis)
    values = [torch.tensor(values.ravel(), dtype=torch.float32) for values in truth.values()]
    coefficients = (closed_form.at(*values)[0].numpy() * basis.noise).T.reshape(-1, *shape)
    found = refined_maps(coefficients, first, np.ones(shape, bool), closed_form)
    for name, true in truth.items():
        assert np.abs(found[name] / true - 1).max() < 1e-3
