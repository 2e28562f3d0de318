import numpy as np
import pytest
import torch
from small_scan import MATRIX, complex_normal

from spokestream.gadgets.imaging.radial_grid import ONE_SIDED, RadialGrid, ramp_density
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

N_COILS = 3


def spokes(n=5, samples=37, center=18.0, oversampling=2.0):
    return radial_spokes(golden_angles(np.arange(n)), samples, center, oversampling).astype(np.float32)


def kernel(k, matrix=MATRIX):
    """The factor exp(2 pi i k.r) for every sample and pixel, with r from pixel n // 2 in fields of view."""
    ny, nx = matrix
    y, x = (np.arange(n) - n // 2 for n in matrix)
    phase = k[..., 1, None, None] * (y / ny)[:, None] + k[..., 0, None, None] * (x / nx)
    return np.exp(2j * np.pi * phase)


def adjoint(grid, data, k):
    space = grid.empty()
    grid.spread(data, k, out=space)
    return grid.images(torch.from_numpy(space)).numpy()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_adjoint_equals_the_exact_sum(rng, tolerance):
    k, data = spokes(), complex_normal(rng, N_COILS, 5, 37)
    exact = np.einsum("csn,snyx->cyx", data, kernel(k)) / (MATRIX[0] * MATRIX[1])
    image = adjoint(RadialGrid(MATRIX, N_COILS, tolerance), data, k)
    assert np.linalg.norm(image - exact) < 3 * tolerance * np.linalg.norm(exact)


def test_adjoint_is_the_adjoint_of_the_exact_forward_transform(rng):
    """<A x, d> = <x, A^H d>, with A computed exactly: a wrong conjugation or a swapped axis would be an error."""
    k, data, image = spokes(), complex_normal(rng, 1, 5, 37), complex_normal(rng, *MATRIX)
    forward = np.einsum("yx,snyx->sn", image, kernel(k).conj())
    back = adjoint(RadialGrid(MATRIX, 1, 1e-4), data, k)[0] * (MATRIX[0] * MATRIX[1])
    scale = np.linalg.norm(forward) * np.linalg.norm(data)
    assert abs(np.vdot(forward, data[0]) - np.vdot(image, back)) < 1e-4 * scale


def test_combination_equals_the_sum_over_coil_images(rng):
    k, data, weights = spokes(), complex_normal(rng, N_COILS, 5, 37), complex_normal(rng, N_COILS, *MATRIX)
    grid = RadialGrid(MATRIX, N_COILS)
    space = grid.empty()
    grid.spread(data, k, out=space)
    space = torch.from_numpy(space)
    images = grid.images(space).numpy()
    combined = grid.combined(space, torch.from_numpy(weights) * grid.correction).numpy()
    np.testing.assert_allclose(combined, (weights * images).sum(0), rtol=0, atol=1e-5 * np.abs(images).max())


def test_the_same_spokes_give_the_same_bits(rng):
    k, data = spokes(8, 90, 45.0), complex_normal(rng, 8, 8, 90)
    results = [adjoint(RadialGrid((46, 44), 8), data, k) for _ in range(4)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_density_weights_sum_to_the_area_of_the_disc():
    k = spokes(34, 80, 40.0)
    radius = 20.0
    assert ramp_density(k).sum() == pytest.approx(np.pi * radius**2, rel=0.03)


@pytest.mark.parametrize("center", [0.0, 10.0, 60.0])
def test_density_weights_of_asymmetric_echoes_sum_to_areas(center):
    """A disc up to the shorter side, and a ring of less weight up to the longer one."""
    k = spokes(233, 80, center)
    longer, shorter = max(center, 79 - center) / 2, min(center, 79 - center) / 2
    area = np.pi * (shorter**2 + ONE_SIDED / 2 * (longer**2 - shorter**2))
    assert ramp_density(k).sum() == pytest.approx(area, rel=0.03)


def test_one_sample_more_on_one_side_is_no_asymmetric_echo():
    k = spokes(34, 80, 40.0)
    radius = np.maximum(np.hypot(k[..., 0], k[..., 1]), 0.125)
    np.testing.assert_allclose(ramp_density(k), np.pi / 34 * 0.5 * radius, rtol=1e-5)


def test_density_compensated_gridding_of_dense_spokes_returns_the_object():
    """Gridding of exact samples of a smooth object gives its amplitude, position and orientation."""
    ny, nx = 31, 31
    y, x = np.mgrid[:ny, :nx]
    truth = np.exp(-((x - 18) ** 2 + 1.5 * (y - 12) ** 2) / 18) * np.exp(0.5j)
    k = spokes(89, 62, 31.0)
    data = np.einsum("yx,snyx->sn", truth, kernel(k, (ny, nx)).conj()).astype(np.complex64)
    image = adjoint(RadialGrid((ny, nx), 1), (data * ramp_density(k))[None], k)[0]
    assert np.abs(image - truth).max() < 0.02
