"""Coarse images: against the exact sum over the samples of the centre of k-space, and back on all pixels."""

import numpy as np
import pytest
import torch

from spokestream.gadgets.imaging.coarse_images import PIXELS, CoarseGrid, on_pixels
from spokestream.gadgets.imaging.radial_grid import RadialGrid
from spokestream.gadgets.messages import NOWHERE, ParameterMaps


def gridded(matrix, k, data):
    grid = RadialGrid(matrix, len(data), 1e-5)
    out = grid.empty()
    grid.spread(data, k, out)
    return grid, torch.from_numpy(out)


@pytest.mark.parametrize("matrix", [(257, 186), (350, 350)])
def test_coarse_images_are_the_exact_sum_over_the_centre_of_k_space(rng, matrix):
    coarse_ny, coarse_nx = round(matrix[0] * PIXELS / max(matrix)), round(matrix[1] * PIXELS / max(matrix))
    n, edge = 60, 0.9 * min(coarse_ny, coarse_nx, matrix[0] / 2, matrix[1] / 2)
    k = rng.uniform(-edge, edge, (n, 2)).astype(
        np.float32
    )  # cycles per field of view, away from the edge of the centre
    data = (rng.standard_normal((2, n)) + 1j * rng.standard_normal((2, n))).astype(np.complex64)
    grid, spread = gridded(matrix, k, data)
    coarse = CoarseGrid(grid)
    assert coarse.matrix == (coarse_ny, coarse_nx)
    found = coarse.images(coarse.centre(spread)) * coarse.correction
    y, x = ((np.arange(m) - m // 2) / m for m in coarse.matrix)  # in fields of view
    along_y, along_x = np.exp(2j * np.pi * np.outer(y, k[:, 1])), np.exp(2j * np.pi * np.outer(x, k[:, 0]))
    window = np.prod(np.cos(np.pi / 2 * k / [coarse_nx, coarse_ny]) ** 2, axis=1)
    expected = np.einsum("cs,ys,xs->cyx", data * window, along_y, along_x) / np.prod(matrix)
    # the window weights cells, up to two from a sample, and changes by pi / 2 over as many cells as there are pixels
    assert np.abs(found.numpy() - expected).max() < np.pi / coarse_nx * np.abs(data).sum(1).max() / np.prod(matrix)


def test_samples_outside_of_the_centre_are_left_out(rng):
    k = np.array([[150.0, 20.0]], np.float32)
    grid, spread = gridded((350, 350), k, np.ones((1, 1), np.complex64))
    coarse = CoarseGrid(grid)
    assert np.all(coarse.centre(spread).numpy() == 0)
    assert np.abs(grid.images(spread).numpy()).max() > 0


def test_few_pixels_stay_as_they_are(rng):
    k = rng.uniform(-20, 20, (50, 2)).astype(np.float32)
    data = (rng.standard_normal((3, 50)) + 1j * rng.standard_normal((3, 50))).astype(np.complex64)
    grid, spread = gridded((45, 52), k, data)
    coarse, weights = CoarseGrid(grid), torch.from_numpy(rng.standard_normal((3, 45, 52)).astype(np.complex64))
    found = coarse.combined(coarse.centre(spread), weights * coarse.correction).numpy()
    expected = grid.combined(spread, weights * grid.correction).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_every_pixel_has_the_value_of_the_nearest_coarse_one():
    foreground = np.array([[True, False, True], [True, True, False]])
    maps = ParameterMaps({"ff": np.array([[1, 0, 3], [4, 5, 0]], np.float32)}, 0, NOWHERE, foreground)
    found = on_pixels(maps, (4, 7))
    # pixel 3 of 7 is at the centre, as pixel 1 of 3; one pixel is 3/7 of a coarse one. Pixel 2 of 4 is that of 1 of 2.
    np.testing.assert_array_equal(found.maps["ff"][0], [1, 1, 0, 0, 0, 3, 3])
    np.testing.assert_array_equal(found.maps["ff"][:, 0], [1, 1, 4, 4])
    np.testing.assert_array_equal(found.foreground, found.maps["ff"] > 0)
