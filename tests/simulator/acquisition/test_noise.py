"""Noise: its covariance, and the level a reconstructed frame shows, by Monte Carlo with an exact adjoint."""

from functools import partial

import numpy as np
import pytest

from spokestream.simulator.acquisition.noise import add_noise, frame_noise_gain, mean_frame_signal, noise_sigma
from spokestream.simulator.acquisition.receive_coils import noise_covariance, receive_array
from spokestream.simulator.acquisition.sampling import radial_readout, spiral_readout
from spokestream.simulator.phantoms import thigh
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence


def adjoint(shape, spokes, n_samples, center_sample, oversampling):
    """exp(2 pi i k.r) / pixels, exactly: (pixels, spokes * samples)."""
    ny, nx = shape
    y, x = (axis.ravel() for axis in np.indices(shape))
    angle = np.deg2rad(111.246117975) * np.asarray(spokes)[:, None]
    radius = (np.arange(n_samples) - center_sample) / oversampling
    kx, ky = (radius * np.cos(angle)).ravel(), (radius * np.sin(angle)).ravel()
    phase = np.outer((x - nx // 2) / nx, kx) + np.outer((y - ny // 2) / ny, ky)
    return np.exp(2j * np.pi * phase) / (ny * nx)


def test_noise_has_the_covariance_asked_for():
    covariance = noise_covariance(4, seed=2)
    noise = add_noise(np.zeros((4, 50, 2000), np.complex64), covariance, 3.0, np.random.default_rng(0)).reshape(4, -1)
    measured = noise @ noise.conj().T / noise.shape[1] / 2
    np.testing.assert_allclose(measured, 9 * covariance, atol=0.01 * 9 * 3)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), noise)
    for part in (whitened.real, whitened.imag):
        np.testing.assert_allclose(part.std(axis=1), 3.0, rtol=0.01)
    assert abs(np.mean(noise * noise)) < 0.1  # circular


def test_noise_is_added_to_the_signal():
    kspace = np.full((2, 3, 5), 7 - 2j, np.complex64)
    noisy = add_noise(kspace, noise_covariance(2), 1e-3, np.random.default_rng(1))
    assert noisy.shape == kspace.shape
    assert 0 < np.abs(noisy - kspace).max() < 0.01


@pytest.mark.parametrize(("n_samples", "center_sample", "oversampling"), [(52, 26, 2), (39, 19, 1.5)])
def test_the_density_of_spokes_gives_images_the_scale_of_the_object(n_samples, center_sample, oversampling):
    """A Gaussian's transform is a Gaussian: many weighted spokes must give it back."""
    shape, sd = (21, 26), 2.5
    y, x = (i - n // 2 for i, n in zip(np.indices(shape), shape, strict=True))
    blob = np.exp(-(y**2 + x**2) / (2 * sd**2))
    spokes = np.arange(144)
    backwards = adjoint(shape, spokes, n_samples, center_sample, oversampling)
    kspace = backwards.conj().T @ blob.ravel() * blob.size
    density = radial_readout(len(spokes), n_samples, center_sample, oversampling, 2.0).density
    weights = np.tile(density / len(spokes), len(spokes))
    image = (backwards @ (weights * kspace)).reshape(shape)
    assert np.abs(image - blob).max() < 0.02


def test_the_density_of_spirals_gives_images_the_scale_of_the_object():
    shape, sd = (21, 21), 2.5
    y, x = (i - n // 2 for i, n in zip(np.indices(shape), shape, strict=True))
    blob = np.exp(-(y**2 + x**2) / (2 * sd**2))
    readout = spiral_readout(55, 640, 21, 1.5, 2.0)
    turns = np.outer(x.ravel() / 21, readout.k[..., 0]) + np.outer(y.ravel() / 21, readout.k[..., 1])
    backwards = np.exp(2j * np.pi * turns) / blob.size
    kspace = backwards.conj().T @ blob.ravel() * blob.size
    image = (backwards @ (np.tile(readout.density / 55, 55) * kspace)).reshape(shape)
    assert np.abs(image - blob).max() < 0.03


def test_a_frame_shows_the_noise_that_was_asked_for():
    """From settings to image: whiten, weigh, exact adjoint, unit-norm combination; sd over mean signal is 0.1."""
    n, coils, samples, oversampling = 15, 3, 30, 2
    sequence, phantom = load_sequence("t1ff-2d-1400"), thigh(n, 350.0)
    maps, covariance = receive_array(coils, n, 350.0), noise_covariance(coils)
    signal = mean_frame_signal(phantom, maps, sequence, partial(fingerprint, sequence), covariance)
    readout = radial_readout(8, samples, samples // 2, oversampling, 2.0)
    gain = frame_noise_gain(readout, sequence.spokes_per_frame, (n, n))
    sigma = noise_sigma(0.1, signal, gain)

    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    whitened = np.einsum("cd,dyx->cyx", whitening, maps).reshape(coils, -1)
    combine = whitened.conj() / np.linalg.norm(whitened, axis=0)
    weights = np.tile(readout.density / 8, 8)
    backwards = adjoint((n, n), np.arange(8), samples, samples // 2, oversampling) * weights
    readouts = np.zeros((coils, 300, weights.size), np.complex64)
    noise = np.einsum("cd,dns->cns", whitening, add_noise(readouts, covariance, sigma, np.random.default_rng(7)))
    images = np.einsum("cp,cnp->np", combine, noise @ backwards.T)
    assert images.real.std() == pytest.approx(0.1 * signal, rel=0.02)
    assert images.imag.std() == pytest.approx(0.1 * signal, rel=0.02)


def test_mean_frame_signal_is_that_of_the_matched_filter():
    sequence, phantom = load_sequence("t1ff-2d-1400"), thigh(21, 350.0)
    maps, covariance = receive_array(4, 21, 350.0), noise_covariance(4, seed=5)
    tissue = phantom.pd > 0.1 * phantom.pd.max()
    names = ("ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")
    ff, t1h2o, t2h2o, t1fat, deltaf, b1 = (getattr(phantom, name)[tissue].astype(float) for name in names)
    water, fat = fingerprint(sequence, t1h2o, t2h2o, b1=b1), fingerprint(sequence, t1fat, 80.0, b1=b1)
    spokes = (1 - ff)[:, None] * water + ff[:, None] * fat * FatModel().phasor(sequence.te_ms)
    spokes = spokes * np.exp(-2j * np.pi * 1e-3 * np.outer(deltaf, sequence.te_ms))
    frames = spokes.reshape(-1, 175, 8).mean(-1)
    c = maps[:, tissue]
    # |L^-1 c|^2 = c^H covariance^-1 c, without a Cholesky factor
    power = np.einsum("cv,cd,dv->v", c.conj(), np.linalg.inv(covariance), c).real
    expected = np.mean(phantom.pd[tissue][:, None] * np.sqrt(power)[:, None] * np.abs(frames))
    mean = mean_frame_signal(phantom, maps, sequence, partial(fingerprint, sequence), covariance)
    assert mean == pytest.approx(expected, rel=1e-4)
