"""The maps from images to samples are their definition, and the adjoints belong to them."""

import numpy as np
import pytest
import torch
from small_scan import complex_normal

from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.measurement import InBasis, half_energy
from spokestream.gadgets.restoration.multi_coil import MARGIN, MultiCoilSampling
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes, spiral_arms

SHAPE = (9, 12)


def any_positions(rng, frames=3, samples=40):
    """(frames, samples, 2) all over k-space, in no order."""
    return rng.uniform(-0.5, 0.5, (frames, samples, 2)) * SHAPE[::-1]


def random_coils(rng, n_coils=4):
    return complex_normal(rng, n_coils, *SHAPE)


def written_out(k, sensitivities):
    """(frames, coils, samples, y, x): every pixel's part of every sample."""
    ny, nx = SHAPE
    y, x = np.arange(ny) - ny // 2, np.arange(nx) - nx // 2
    cycles = k[..., 0, None, None] * x / nx + k[..., 1, None, None] * y[:, None] / ny
    return np.exp(-2j * np.pi * cycles)[:, None] * sensitivities[None, :, None] / np.sqrt(ny * nx)


def measurements(rng):
    mask = torch.from_numpy(rng.random((5, *SHAPE)) < 0.3)
    coils = MultiCoilSampling(any_positions(rng, 5), random_coils(rng), torch.complex128)
    basis = torch.from_numpy(np.linalg.qr(complex_normal(rng, 5, 3).astype(complex))[0])
    return {
        "cartesian": CartesianSampling(mask),
        "coils": coils,
        "one coil": MultiCoilSampling(any_positions(rng, 5), random_coils(rng, 1), torch.complex128),
        "weighted": MultiCoilSampling(
            any_positions(rng, 5), random_coils(rng), torch.complex128, weights=rng.uniform(0.1, 2, (5, 40))
        ),
        "coefficients": InBasis(coils, basis),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 3e-5), (torch.complex128, 1e-11)])
@pytest.mark.parametrize("n_coils", [1, 4])
def test_samples_of_all_coils_are_the_direct_sum(dtype, tolerance, n_coils, rng):
    k, sensitivities = any_positions(rng), random_coils(rng, n_coils)
    images, samples = complex_normal(rng, 3, *SHAPE), complex_normal(rng, 3, n_coils, 40)
    measurement, terms = MultiCoilSampling(k, sensitivities, dtype), written_out(k, sensitivities)
    forward = measurement.forward(torch.from_numpy(images).to(dtype)).numpy()
    adjoint = measurement.adjoint(torch.from_numpy(samples).to(dtype)).numpy()
    expected = np.einsum("tcsyx,tyx->tcs", terms, images)
    assert np.linalg.norm(forward - expected) < tolerance * np.linalg.norm(expected)
    expected = np.einsum("tcsyx,tcs->tyx", terms.conj(), samples)
    assert np.linalg.norm(adjoint - expected) < tolerance * np.linalg.norm(expected)


def test_weights_are_factors_of_the_samples(rng, draw):
    k, sensitivities, weights = any_positions(rng), random_coils(rng), rng.uniform(0.1, 2, (3, 40))
    plain = MultiCoilSampling(k, sensitivities, torch.complex128)
    weighted = MultiCoilSampling(k, sensitivities, torch.complex128, weights=weights)
    images = draw(3, *SHAPE)
    torch.testing.assert_close(
        weighted.forward(images), plain.forward(images) * torch.from_numpy(weights)[:, None], rtol=0, atol=1e-11
    )


def test_on_the_points_of_a_grid_one_even_coil_is_cartesian(draw):
    ny, nx = SHAPE
    ky, kx = np.meshgrid(np.arange(ny) - ny // 2, np.arange(nx) - nx // 2, indexing="ij")
    k = np.stack([kx, ky], -1).reshape(1, -1, 2).astype(float)
    images = draw(1, *SHAPE)
    nufft = MultiCoilSampling(k, np.ones((1, *SHAPE), np.complex64), torch.complex128)
    cartesian = CartesianSampling(torch.ones((1, *SHAPE), dtype=torch.bool))
    grid = torch.fft.ifftshift(nufft.forward(images).view(1, *SHAPE), (1, 2))
    torch.testing.assert_close(cartesian.forward(images), grid.flatten(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["cartesian", "coils", "one coil", "weighted", "coefficients"])
def test_inner_products_are_those_of_the_adjoint(name, rng, draw):
    measurement = measurements(rng)[name]
    images = draw(*measurement.shape)
    samples = measurement.forward(images)
    other = draw(*samples.shape)
    left = torch.vdot(other.flatten(), samples.flatten())
    right = torch.vdot(measurement.adjoint(other).flatten(), images.flatten())
    assert abs(left - right) < 1e-11 * abs(left)


def test_sampling_twice_is_sampling_once(rng, draw):
    measurement = measurements(rng)["cartesian"]
    samples = draw(*measurement.forward(draw(*measurement.shape)).shape)
    torch.testing.assert_close(measurement.forward(measurement.adjoint(samples)), samples)


def test_undersampling_counts_points():
    mask = torch.zeros((2, 4, 5), dtype=torch.bool)
    mask[0, 0], mask[1, :3, 1] = True, True
    assert CartesianSampling(mask).undersampling == 40 / 8


@pytest.mark.parametrize("arms", [1, 3, 13])
@pytest.mark.parametrize("spiral", [False, True])
def test_no_eigenvalue_is_above_the_bound(arms, spiral, rng):
    angles = golden_angles(np.arange(4 * arms)).reshape(4, arms)
    k = spiral_arms(angles, 30, 12, 2.0) if spiral else radial_spokes(angles, 24, 12, 2.0)
    sensitivities = random_coils(rng)
    measurement = MultiCoilSampling(k.reshape(4, -1, 2), sensitivities)
    matrices = written_out(k.reshape(4, -1, 2), sensitivities).reshape(4, -1, np.prod(SHAPE))
    largest = np.linalg.norm(matrices, 2, axis=(1, 2)).max() ** 2
    assert largest < measurement.largest_eigenvalue < MARGIN * largest * (1 + 1e-4)


def test_coefficients_measure_the_frames_that_they_stand_for(rng, draw):
    both = measurements(rng)
    coefficients = draw(3, *SHAPE)
    frames = both["coefficients"].expand(coefficients)
    assert frames.shape == (5, *SHAPE)
    torch.testing.assert_close(both["coefficients"].forward(coefficients), both["coils"].forward(frames))


def test_a_basis_that_does_not_fit_is_a_programming_error(rng):
    frames = CartesianSampling(torch.ones((5, *SHAPE), dtype=torch.bool))
    with pytest.raises(ValueError, match="4 frames for a measurement of 5"):
        InBasis(frames, torch.eye(4)[:, :2])
    with pytest.raises(ValueError, match="not orthonormal"):
        InBasis(frames, torch.ones(5, 2) / 5**0.5)


def test_half_energy_is_in_double_precision():
    assert half_energy(torch.full((4096, 4096), 1 + 1j, dtype=torch.complex64)) == pytest.approx(4096**2, rel=1e-12)
