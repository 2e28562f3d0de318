"""The fast path: gridded coefficient images without k-space, against direct sums there and back."""

from functools import partial

import numpy as np
import pytest
from direct_sum import SHAPE, direct_sum, random_phantom, random_sensitivities, short_sequence

from spokestream.errors import InputError
from spokestream.simulator.acquisition.sampling import radial_readout
from spokestream.simulator.expansion.point_spread import PointSpread
from spokestream.simulator.expansion.signal_expansion import TissueRange, expand, signal_terms
from spokestream.simulator.physics.fingerprint import fingerprint

RECEIVER_HZ = 150.0


def spoke_weights(sequence, k_per_echo=2, seed=3):
    """(spokes, K) random, no coefficient mixing echo times."""
    rng = np.random.default_rng(seed)
    columns = [
        np.where(sequence.echo_group == g, rng.standard_normal(len(sequence)), 0)
        for g in range(3)
        for _ in range(k_per_echo)
    ]
    return np.stack(columns, axis=1)


def gridded_exactly(kspace, readout, weights, shape):
    """The adjoint, summed sample by sample: (K, coils, y, x)."""
    ny, nx = shape
    rows, columns = (axis.ravel() for axis in np.indices(shape))
    out = np.zeros((weights.shape[1], len(kspace), ny * nx), complex)
    for j, k in enumerate(readout.k):
        turns = np.outer((columns - nx // 2) / nx, k[:, 0]) + np.outer((rows - ny // 2) / ny, k[:, 1])
        image = (kspace[:, j] * readout.density) @ np.exp(2j * np.pi * turns).T
        out += weights[j][:, None, None] * image
    return out.reshape(-1, len(kspace), ny, nx) / (ny * nx)


@pytest.fixture(scope="module")
def scene():
    phantom, sequence = random_phantom(), short_sequence()
    readout = radial_readout(27, 41, 19, 1.8, 8.0)
    terms = signal_terms(
        sequence, partial(fingerprint, sequence), readout.time_ms, TissueRange.of(phantom), 3e-4, RECEIVER_HZ
    )
    return phantom, sequence, readout, terms


def test_it_equals_sampling_and_gridding_to_a_thousandth(scene):
    phantom, sequence, readout, terms = scene
    maps, weights = random_sensitivities(5), spoke_weights(sequence)
    shares = []
    fast = PointSpread(readout, terms, weights, SHAPE, progress=shares.append)
    images = fast.images(expand(phantom, terms), phantom.pd > 0, maps).numpy()
    kspace = direct_sum(phantom, maps, sequence, readout.k, readout.time_ms)
    kspace *= np.exp(2j * np.pi * RECEIVER_HZ * readout.time_ms * 1e-3)
    expected = gridded_exactly(kspace, readout, weights, SHAPE)
    for image, exact in zip(images, expected, strict=True):
        assert np.linalg.norm(image - exact) < 1e-3 * np.linalg.norm(exact)
    assert sum(shares) == pytest.approx(1)


def test_a_box_that_holds_all_tissue_is_enough(scene):
    phantom, sequence, readout, terms = scene  # its first three rows are empty
    maps, weights = random_sensitivities(2), spoke_weights(sequence)
    tissue = phantom.pd > 0
    whole = PointSpread(readout, terms, weights, SHAPE).images(expand(phantom, terms), tissue, maps)
    boxed = PointSpread(readout, terms, weights, SHAPE, box=(17, 23))
    part = boxed.images(expand(phantom, terms), tissue[2:], maps[:, 2:])
    np.testing.assert_allclose(part.numpy(), whole.numpy()[:, :, 2:], atol=2e-5 * float(whole.abs().max()))
    with pytest.raises(ValueError, match="do not fit"):
        boxed.images(expand(phantom, terms), tissue, maps)


def test_the_same_point_spread_serves_another_phantom_and_array(scene):
    _, sequence, readout, terms = scene
    weights = spoke_weights(sequence)
    fast = PointSpread(readout, terms, weights, SHAPE)
    once = fast.images(expand(random_phantom(), terms), random_phantom().pd > 0, random_sensitivities(4)).clone()
    fast.images(expand(random_phantom(), terms), random_phantom().pd > 0, random_sensitivities(3, seed=8))
    again = fast.images(expand(random_phantom(), terms), random_phantom().pd > 0, random_sensitivities(4))
    assert np.array_equal(once.numpy(), again.numpy())


def test_coefficients_that_mix_echo_times_are_refused(scene):
    _, _, readout, terms = scene
    with pytest.raises(ValueError, match="mixes spokes of several echo times"):
        PointSpread(readout, terms, np.ones((27, 1)), SHAPE)


def test_tissue_outside_the_range_is_refused(scene):
    _, _, _, terms = scene
    phantom = random_phantom()
    phantom.t1h2o[9, 9] = 2600
    with pytest.raises(InputError, match="T1 of some tissue lies outside"):
        expand(phantom, terms)
