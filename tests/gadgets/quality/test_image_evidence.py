"""Evidence from an image: exact ratios of images whose spectrum is written down."""

import numpy as np
import pytest

from spokestream.gadgets.quality.image_evidence import image_evidence, leading_image
from spokestream.gadgets.quality.verdict import LARGEST_RING

SHAPE = (40, 60)  # (y, x)
KY, KX = np.meshgrid(np.arange(-20, 20), np.arange(-30, 30), indexing="ij")
RADIUS = np.hypot(KY / 20, KX / 30)
MASK = np.zeros(SHAPE, bool)
MASK[10:30, 20:40] = True


def images(power):
    """One image with this power at every position of k-space."""
    spectrum = np.sqrt(power) * np.exp(2j * np.pi * np.random.default_rng(1).random(SHAPE))
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).astype(np.complex64)[None]


def test_the_ratios_of_a_spectrum_of_rings():
    power = np.select([(KY == 0) & (KX == 0), RADIUS > 1.1, RADIUS > 0.6, RADIUS > 0.2], [8.0, 0.5, 2.0, 5.0], 4.0)
    found = image_evidence(images(power), MASK)
    assert found.corners == pytest.approx(0.25, rel=1e-3)
    assert found.rim == pytest.approx(0.4, rel=1e-3)
    assert found.ring == pytest.approx(5 / 8, rel=1e-3)  # rings of 1 to 9 pixels: the third level begins at 4 and 6


def test_an_echo_away_from_the_centre_is_a_ring():
    power = np.where(np.rint(np.hypot(KY, KX)) == 3, 100.0, 1.0)
    assert image_evidence(images(power), MASK).ring == pytest.approx(100, rel=1e-3)


def test_legs_of_opposite_phase_that_cancel_at_the_centre_are_no_ring():
    leg = np.exp(-(((np.arange(40)[:, None] - 20) / 8) ** 2) - ((np.arange(60) - 17) / 6) ** 2)
    image = (leg - leg[:, ::-1]).astype(np.complex64)[None]
    assert image_evidence(image, MASK).ring < LARGEST_RING


def test_contrast_is_that_of_foreground_and_background():
    image = np.where(MASK, 12.0, 3.0).astype(np.complex64)[None]
    assert image_evidence(image, MASK).contrast == pytest.approx(4)
    assert image_evidence(image, np.ones(SHAPE, bool)).contrast == np.inf


def test_the_leading_image_is_the_pattern_that_all_images_share():
    rng = np.random.default_rng(2)
    pattern, weights = rng.random(SHAPE), np.array([1.0, -2j, 0.5])
    combined = leading_image((weights[:, None, None] * pattern).astype(np.complex64))
    np.testing.assert_allclose(np.abs(combined), np.linalg.norm(weights) * pattern, rtol=1e-4)
    assert not leading_image(np.zeros((3, *SHAPE), np.complex64)).any()
