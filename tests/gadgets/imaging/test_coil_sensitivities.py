import numpy as np
import pytest
import torch

from spokestream.gadgets.imaging.coil_sensitivities import CoilCalibration
from spokestream.gadgets.imaging.radial_grid import RadialGrid, ramp_density
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

MATRIX = (61, 61)


def smooth_coils(n_coils, matrix):
    """Gaussian beams from around the field of view, each with its own phase ramp."""
    y, x = (np.linspace(-1, 1, n) for n in matrix)
    angle = 2 * np.pi * np.arange(n_coils) / n_coils
    distance = (y[:, None] - 1.2 * np.sin(angle)[:, None, None]) ** 2 + (x - 1.2 * np.cos(angle)[:, None, None]) ** 2
    ramp = np.exp(1j * (angle[:, None, None] + 0.6 * y[:, None] * np.cos(angle)[:, None, None]))
    maps = np.exp(-distance / 2.5) * ramp
    return maps / np.linalg.norm(maps, axis=0)


def kspace(image, k):
    """The exact samples of coil images (coils, y, x) at k, computed spoke by spoke."""
    y, x = (np.arange(n) - n // 2 for n in MATRIX)
    out = []
    for spoke in k:
        ey = np.exp(-2j * np.pi * np.outer(spoke[:, 1], y / MATRIX[0]))
        ex = np.exp(-2j * np.pi * np.outer(spoke[:, 0], x / MATRIX[1]))
        out.append(np.einsum("ny,cyx,nx->cn", ey, image, ex, optimize=True))
    return np.stack(out, axis=1).astype(np.complex64)


def test_sensitivities_are_those_of_the_array_also_where_one_contrast_is_nulled():
    truth = smooth_coils(5, MATRIX)
    y, x = np.mgrid[-1 : 1 : MATRIX[0] * 1j, -1 : 1 : MATRIX[1] * 1j]
    body = (x**2 + y**2) < 0.7**2
    grid = RadialGrid(MATRIX, 5)
    calibration = CoilCalibration(grid, 12)
    space = grid.empty()
    # two windows; in the first the right half gives no signal, in the second the left one is inverted
    for frame, contrast in ((0, x < 0), (13, np.sign(x + 0.01))):
        k = radial_spokes(golden_angles(np.arange(55)), 122, 61.0, 2.0).astype(np.float32)
        data = kspace(truth * body * contrast, k)
        grid.spread(data * ramp_density(k), k, out=space)
        calibration.add(frame, space)
    maps = calibration.sensitivities().numpy()
    np.testing.assert_allclose(np.linalg.norm(maps, axis=0), 1, atol=1e-5)
    inner = (x**2 + y**2) < 0.65**2
    # up to one phase per pixel, which the data do not determine
    agreement = np.abs((maps.conj() * truth).sum(0))[inner]
    assert agreement.min() > 0.99
    assert agreement.mean() > 0.998


@pytest.mark.parametrize("exponent", [-27, -20, 12, 27, 60])
def test_the_scale_of_the_samples_does_not_change_the_sensitivities(exponent):
    """Scales from 1e-8 to 1e8 and beyond: single precision does not hold the fourth power of such samples."""
    k = radial_spokes(golden_angles(np.arange(55)), 122, 61.0, 2.0).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : MATRIX[0] * 1j, -1 : 1 : MATRIX[1] * 1j]
    data = kspace(smooth_coils(3, MATRIX) * (np.hypot(x, y) < 0.7), k) * ramp_density(k)
    maps = []
    for factor in (1.0, 2.0**exponent):
        grid = RadialGrid(MATRIX, 3)
        calibration, space = CoilCalibration(grid, 12), grid.empty()
        grid.spread(data * np.float32(factor), k, out=space)
        calibration.add(0, space)
        maps.append(calibration.sensitivities().numpy()[:, np.hypot(x, y) < 0.65])
    np.testing.assert_allclose(*maps, rtol=0, atol=1e-5)


def test_no_frame_no_sensitivities():
    with pytest.raises(ValueError, match="at least one frame"):
        CoilCalibration(RadialGrid(MATRIX, 2), 12).sensitivities()


def test_the_phase_of_the_maps_is_smooth():
    truth = smooth_coils(4, MATRIX)
    k = radial_spokes(golden_angles(np.arange(55)), 122, 61.0, 2.0).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : MATRIX[0] * 1j, -1 : 1 : MATRIX[1] * 1j]
    grid = RadialGrid(MATRIX, 4)
    space = grid.empty()
    grid.spread(kspace(truth * ((x**2 + y**2) < 0.64), k) * ramp_density(k), k, out=space)
    calibration = CoilCalibration(grid, 12)
    calibration.add(0, space)
    maps = calibration.sensitivities()
    inside = torch.from_numpy((x**2 + y**2) < 0.5)[:, 1:]
    steps = (maps[:, :, 1:] - maps[:, :, :-1]).abs().square().sum(0).sqrt()
    assert steps[inside].max() < 0.15
