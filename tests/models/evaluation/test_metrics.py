"""Measures against closed forms, published definitions and scikit-image."""

import numpy as np
import pytest
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from spokestream.models.evaluation.metrics import (
    Moments,
    bland_altman,
    blurriness,
    line,
    nrmse,
    psnr,
    region_means,
    ssim,
)

RNG = np.random.default_rng(12)
SHAPE = (3, 21, 26)


def test_errors_of_a_constant_offset_are_that_offset():
    reference = RNG.uniform(500, 1500, SHAPE)
    reference[0, 0, :2] = 500, 1500
    mask = np.ones(SHAPE, bool)
    assert nrmse(reference + 30, reference, mask) == pytest.approx(0.03)
    assert psnr(reference + 30, reference, mask) == pytest.approx(20 * np.log10(1500 / 30))
    assert psnr(reference, reference, mask) == np.inf


def test_only_voxels_of_the_mask_count_and_the_peak_signal_skips_zeros():
    reference, prediction = np.zeros((1, 4, 5)), np.full((1, 4, 5), 100.0)
    reference[0, 1, 1:4], prediction[0, 1, 1:4] = (10, 20, 30), (12, 20, 30)
    mask = np.zeros(reference.shape, bool)
    mask[0, 1, 1:4] = True
    assert nrmse(prediction, reference, mask) == pytest.approx(2 / np.sqrt(3) / 20)
    assert psnr(prediction, reference, np.ones_like(mask)) == pytest.approx(20 * np.log10(30 / (2 / np.sqrt(3))))


def test_measures_of_nothing_are_not_numbers():
    nothing = np.zeros((1, 9, 9), bool)
    assert np.isnan(nrmse(np.ones((1, 9, 9)), np.ones((1, 9, 9)), nothing))
    assert np.isnan(psnr(np.ones((1, 9, 9)), np.ones((1, 9, 9)), nothing))
    assert np.isnan(Moments().bias)
    assert np.isnan(Moments().rmse)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    error = RNG.normal(3, 2, 101)
    both = Moments.of(error[:37]) + Moments.of(error[37:])
    assert (both.n, both.bias) == (101, pytest.approx(error.mean()))
    assert both.rmse == pytest.approx(np.sqrt(np.mean(error**2)))


def test_structural_similarity_is_that_of_its_definition():
    x, y = RNG.uniform(0, 3, (1, 7, 7)), RNG.uniform(0, 3, (1, 7, 7))  # one window, one value
    c1, c2 = (0.01 * y.max()) ** 2, (0.03 * y.max()) ** 2
    covariance = np.cov(x.ravel(), y.ravel())
    wanted = (2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
    wanted /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert ssim(x, y) == pytest.approx(wanted)
    assert ssim(y, y) == pytest.approx(1)
    with pytest.raises(ValueError, match="7 x 7 pixels or more"):
        ssim(x[:, :5], y[:, :5])


def test_structural_similarity_and_peak_signal_are_those_of_scikit_image():
    x, y = RNG.uniform(0, 3, SHAPE), RNG.uniform(0, 3, SHAPE)
    x[:, :4], y[:, :4] = 0, 0
    wanted = structural_similarity(x, y, channel_axis=0, data_range=y.max())
    assert ssim(x, y) == pytest.approx(wanted)
    there = y != 0
    wanted = peak_signal_noise_ratio(y[there], x[there], data_range=y.max())
    assert psnr(x, y, np.ones(SHAPE, bool)) == pytest.approx(wanted)


def test_means_of_regions_are_those_within_the_mask():
    labels = np.array([[0, 1, 1, 3], [3, 3, 1, 0]])
    values = np.array([[9.0, 1, 2, 10], [20, 30, 6, 9]])
    mask = np.array([[True, True, True, True], [True, False, False, True]])
    assert region_means(values, labels, mask, [3, 1]).tolist() == [15, 1.5]
    assert np.isnan(region_means(values, labels, mask, [2, 7])).all()


def test_the_line_is_that_of_linear_regression():
    x = RNG.uniform(800, 1600, 50)
    y = 1.07 * x - 40 + RNG.normal(0, 30, 50)
    wanted, found = stats.linregress(x, y), line(x, y)
    assert found.r2 == pytest.approx(wanted.rvalue**2)
    assert (found.slope, found.intercept) == (pytest.approx(wanted.slope), pytest.approx(wanted.intercept))
    assert (found.bias, found.n) == (pytest.approx(np.mean(x - y)), 50)
    with pytest.raises(ValueError, match="three pairs of different values"):
        line([1, 1, 1], [1, 2, 3])


def test_limits_of_agreement_hold_95_percent_of_normal_differences():
    reference = RNG.uniform(800, 1600, 40_000)
    prediction = reference + RNG.normal(12, 25, reference.size)
    found = bland_altman(prediction, reference)
    assert found.mean == pytest.approx(12, abs=0.5)
    assert (found.low, found.high) == (pytest.approx(12 - 1.96 * 25, abs=1), pytest.approx(12 + 1.96 * 25, abs=1))
    inside = np.mean((prediction - reference > found.low) & (prediction - reference < found.high))
    assert inside == pytest.approx(0.95, abs=0.005)


def test_blurriness_is_the_share_of_fine_detail():
    y, x = np.mgrid[:20, :30]
    wave = np.cos(2 * np.pi * 6 / 20 * y) + 3 * np.cos(2 * np.pi * 12 / 30 * x)  # 60 % and 80 % of the highest
    assert blurriness(wave, [0.5, 0.7, 0.9]) == pytest.approx([1, 0.9, 0])
    with pytest.raises(ValueError, match="image of zeros"):
        blurriness(np.zeros((4, 5)), [0.5])


def test_white_noise_has_energy_by_area():
    share = blurriness(RNG.normal(size=(301, 257)), [0.55, 0.95])
    assert share == pytest.approx(1 - np.pi / 4 * np.array([0.55, 0.95]) ** 2, abs=0.01)
