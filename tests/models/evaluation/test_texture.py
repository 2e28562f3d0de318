"""Kept texture: of a map that is weaker, smoothed or noisy, against values that follow from the spectrum."""

from math import exp, log, nan

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spokestream.models.evaluation.texture import SMOOTHINGS, KeptTexture, band_names
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.phantoms.changes import changed
from spokestream.simulator.phantoms.changes.texture import BAND_T1_WATER_MS

N = 256


@pytest.fixture(scope="module")
def textures():
    """Slices with the texture of patients, at pixels of 1 mm."""
    full = np.ones((N, N), np.float32)
    even = Phantom(
        full, full * 0.5, full * 1300, full * 35, full * 350, full * 0, full, np.ones((N, N), np.uint8), ("air", "all"),
        full, float(N),
    )  # fmt: skip
    return [phantom.t1h2o for phantom in changed([even] * 8, "texture", 1)]


def kept(pairs, mask=None):
    texture = KeptTexture(BAND_T1_WATER_MS)
    for found, true in pairs:
        texture.add(found, true, np.ones((N, N), bool) if mask is None else mask)
    return texture.result()


def test_half_of_the_texture_is_half(textures):
    for band in kept((300 + 0.5 * true, true) for true in textures):
        assert (band["kept"], band["correlation"]) == (pytest.approx(0.5, rel=1e-4), pytest.approx(1, rel=1e-4))


def test_a_smoothed_map_keeps_what_its_spectrum_says(textures):
    """With a = s^2 k^2, bands pass exp(-a / 2) - exp(-2 a), and all octaves of the truth have the same variance."""
    sigma = 1.4
    found = kept((gaussian_filter(true, sigma), true) for true in textures)
    assert [band["band"] for band in found] == band_names()

    def expected(s):
        c = sigma**2 / (2 * s**2)
        return log((2.5 + c) ** 2 / ((1 + c) * (4 + c))) / log(2.5**2 / 4)

    assert [band["kept"] for band in found[2:]] == pytest.approx([expected(s) for s in SMOOTHINGS[1:-1]], abs=0.03)
    assert [band["true"] for band in found[2:4]] == pytest.approx([BAND_T1_WATER_MS] * 2, rel=0.1)
    assert found[0]["kept"] < found[1]["kept"] < found[2]["kept"]
    assert found[0]["kept"] < exp(-(sigma**2) / 2)  # waves of the finest band are shorter than 2 pi pixels


def test_noise_lowers_the_correlation_and_not_the_kept_texture(textures):
    rng = np.random.default_rng(0)
    found = kept((true + rng.normal(0, true[0].std(), true.shape), true) for true in textures)
    assert found[0]["kept"] == pytest.approx(1, abs=0.1)
    assert found[0]["correlation"] < 0.4
    assert found[-1]["correlation"] > 0.95


def test_a_truth_without_texture_and_an_empty_mask_give_none():
    flat = np.full((N, N), 1300.0)
    for bands in (kept([(flat + 1, flat)]), kept([(flat, flat)], np.zeros((N, N), bool))):
        assert all(np.isnan(band["kept"]) and np.isnan(band["correlation"]) for band in bands)
        assert nan not in [band["true"] for band in bands]


def test_values_outside_the_mask_do_not_matter(textures):
    mask = np.zeros((N, N), bool)
    mask[20:200, 30:220] = True
    wild = [(np.where(mask, true, 1e6), np.where(mask, true, -5.0)) for true in textures]
    for band in kept(wild, mask):
        assert band["kept"] == pytest.approx(1, rel=1e-6)
