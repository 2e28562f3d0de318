import numpy as np
import pytest
import torch
from small_scan import complex_normal

from spokestream.gadgets.model_fit.conjugates import are_conjugates, mirrored, some_fingerprints, tissue_examples
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT


@pytest.fixture(scope="module")
def closed_form(dictionary, basis):
    return WATER_FAT.closed_form(dictionary.sequence, basis)


def tissue(closed_form, rng, ff):
    """100 voxels with this fat fraction, noise of 3 %, and any phase."""
    n = 100
    columns = [np.full(n, ff), rng.uniform(900, 1500, n), rng.uniform(280, 370, n), rng.uniform(-60, 60, n)]
    columns.append(rng.uniform(0.6, 1, n))
    signal = closed_form.at(*(torch.from_numpy(c.astype(np.float32)) for c in columns))[0].numpy()
    level = 0.03 * np.sqrt(np.mean(np.abs(signal) ** 2))
    return signal * np.exp(2j * np.pi * rng.random((n, 1))) + level * complex_normal(rng, *signal.shape)


@pytest.mark.parametrize("ff", [0.3, 0.6, 0.95])
def test_fat_shows_the_sign(closed_form, rng, ff):
    measured = tissue(closed_form, rng, ff).astype(np.complex64)
    examples = tissue_examples(closed_form)
    assert not are_conjugates(torch.from_numpy(measured), examples)
    assert are_conjugates(torch.from_numpy(measured.conj()), examples)


def test_water_and_noise_alone_decide_nothing(closed_form, rng):
    examples = tissue_examples(closed_form)
    water = tissue(closed_form, rng, 0.0).astype(np.complex64)
    noise = complex_normal(rng, 100, water.shape[1])
    for measured in (water, water.conj()):
        assert are_conjugates(torch.from_numpy(measured), examples) is False
    for measured in (noise, noise.conj(), np.zeros_like(noise)):
        assert are_conjugates(torch.from_numpy(measured), examples) is None


def test_voxels_are_taken_evenly_from_the_whole_foreground(rng):
    images, foreground = complex_normal(rng, 3, 40, 50), np.zeros((40, 50), bool)
    foreground[5:35, 10:45] = True
    some = some_fingerprints(images, foreground).numpy()
    of_foreground = images[:, foreground].T
    np.testing.assert_array_equal(some, of_foreground[(np.arange(128) * 1049 / 127).astype(int)])
    foreground[6:] = False
    np.testing.assert_array_equal(some_fingerprints(images, foreground), images[:, foreground].T)


def test_examples_have_unit_norm_and_differ(closed_form):
    examples = tissue_examples(closed_form)
    np.testing.assert_allclose(examples.abs().square().sum(1), 1, rtol=1e-4)
    assert len(torch.unique(torch.view_as_real(examples).flatten(1), dim=0)) == len(examples)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (4, 7)])
def test_the_mirrored_image_is_that_of_conjugate_k_space(rng, shape):
    image = complex_normal(rng, *shape)

    def to_k(image):
        return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))

    np.testing.assert_allclose(to_k(mirrored(image).conj()), to_k(image).conj(), atol=1e-5)
