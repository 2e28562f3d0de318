"""Objects with known values: the system phantom, the squares, and the field of an air bubble."""

import numpy as np
import pytest

from spokestream.simulator.phantoms import draw_subject, render
from spokestream.simulator.phantoms.field_maps import AIR_HZ, AirPocket
from spokestream.simulator.phantoms.rendering import SUPERSAMPLING

# T1 and T2 in ms at 3 T, as published for the ISMRM/NIST system phantom
T1_LAYER = {
    "t1h2o": [1989, 1454, 984.1, 706, 496.7, 351.5, 247.13, 175.3, 125.9, 89.0, 62.7, 44.53, 30.84, 21.719],
    "t2h2o": [1465, 1076, 717.9, 510.1, 359.6, 255.5, 180.8, 127.3, 90.3, 64.3, 45.7, 31.86, 22.38, 15.83],
}
T2_LAYER = {
    "t1h2o": [2480, 2173, 1907, 1604, 1332, 1044, 801.7, 608.6, 458.4, 336.5, 244.2, 176.6, 126.9, 90.9],
    "t2h2o": [581.3, 403.5, 278.1, 190.94, 133.27, 96.89, 64.07, 46.42, 31.97, 22.56, 15.813, 11.237, 7.911, 5.592],
}


@pytest.fixture(scope="module")
def squares():
    return render("squares", draw_subject("patients", 6), matrix=256)


@pytest.mark.parametrize(("level", "layer"), [(0.5, T1_LAYER), (-0.5, T2_LAYER)])
def test_spheres_of_the_system_phantom_have_their_published_values(level, layer):
    phantom = render("nist", draw_subject("volunteers", 1), level, 201)
    assert phantom.label_names[2:] == tuple(f"sphere {n}" for n in range(1, 15))
    for n in range(14):
        sphere = phantom.label == 2 + n
        assert np.count_nonzero(sphere) * (phantom.fov_mm / 201) ** 2 == pytest.approx(np.pi * 7.5**2, rel=0.08)
        for name, values in layer.items():
            np.testing.assert_allclose(getattr(phantom, name)[sphere], values[n], rtol=1e-5)
        assert not phantom.ff[sphere].any()


def test_ten_spheres_lie_on_a_ring_and_four_within():
    phantom = render("nist", draw_subject("patients", 0), matrix=151)
    centers = [np.argwhere(phantom.label == 2 + n).mean(axis=0) - 75 for n in range(14)]
    radius = np.hypot(*np.transpose(centers)) * phantom.fov_mm / 151
    np.testing.assert_allclose(radius[:10], 50, atol=1)
    assert radius[10:].max() < 30
    np.testing.assert_allclose(radius[10:], radius[10], atol=1)


def test_ninety_squares_are_ten_pixels_wide_and_uniform(squares):
    assert np.bincount(squares.label.ravel(), minlength=91)[1:].tolist() == [100] * 90
    np.testing.assert_array_equal(squares.pd > 0, squares.label > 0)
    for n in range(1, 91):
        rows, columns = np.nonzero(squares.label == n)
        assert np.ptp(rows) == np.ptp(columns) == 9
        for name in ("ff", "t1h2o", "t1fat", "deltaf", "b1"):
            values = getattr(squares, name)[rows, columns]
            np.testing.assert_allclose(values, values[0], rtol=1e-5)


def test_squares_fill_the_ranges_independently(squares):
    first = np.unique(squares.label, return_index=True)[1][1:]
    values = {name: getattr(squares, name).ravel()[first] for name in ("ff", "t1h2o", "deltaf", "b1")}
    for name, low, high in (("ff", 0, 1), ("t1h2o", 850, 1850), ("deltaf", -60, 60), ("b1", 0.3, 1.0)):
        reach = high - low
        assert low <= values[name].min() < low + 0.1 * reach
        assert high - 0.1 * reach < values[name].max() <= high
    correlation = np.corrcoef(list(values.values())) - np.eye(4)
    assert np.abs(correlation).max() < 0.35


def test_an_air_bubble_has_the_field_that_the_dipole_kernel_gives():
    """Susceptibility of a sphere times 1/3 - kz^2/k^2 in k-space, on a grid; 9.4 ppm at 127.7 MHz."""
    n, radius = 80, 9.0
    place = np.arange(n) - n // 2
    z, y, x = np.meshgrid(place, place, place, indexing="ij")
    k = np.fft.fftfreq(n)
    k2 = k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2
    kernel = 1 / 3 - np.divide(k[:, None, None] ** 2, k2, out=np.full_like(k2, 1 / 3), where=k2 > 0)
    sphere = (x**2 + y**2 + z**2 < radius**2).astype(float)
    field = np.fft.ifftn(np.fft.fftn(sphere) * kernel).real * 9.4e-6 * 127.7e6
    pocket = AirPocket(x_mm=0.0, y_mm=0.0, z_mm=0.0, radius_mm=radius)
    for height in (0, 12, 17):
        axis = place.astype(np.float32)
        expected = field[n // 2 + height]
        far = (x**2 + y**2 + z**2)[n // 2 + height] > (radius + 2) ** 2
        near = far & (np.hypot(x, y)[n // 2 + height] < 24)  # the grid repeats the sphere
        error = pocket.field_hz(axis, axis, height / 100)[near] - expected[near]
        assert np.abs(error).max() < 0.06 * AIR_HZ
        assert np.corrcoef(pocket.field_hz(axis, axis, height / 100)[near], expected[near])[0, 1] > 0.99


def test_the_field_of_a_bubble_falls_with_the_cube_of_the_distance():
    pocket = AirPocket(10.0, -20.0, 30.0, 5.0)
    y, x = np.array([-20.0], np.float32), np.array([10.0], np.float32)
    above = pocket.field_hz(y, x, 0.4), pocket.field_hz(y, x, 0.5)  # 10 and 20 mm along the main field
    np.testing.assert_allclose(above, [[[2 * AIR_HZ / 8]], [[2 * AIR_HZ / 64]]], rtol=1e-4)
    beside = pocket.field_hz(y, x + 10, 0.3)
    np.testing.assert_allclose(beside, -AIR_HZ / 8, rtol=1e-4)


def test_purity_is_the_fraction_of_a_pixel_that_its_label_takes_up(squares):
    """Squares of 10 mm in pixels of 2.5 mm: four pixels a side, of which the edges leave out some of nine points."""
    assert np.all(squares.purity[squares.label > 0] == 1)  # edges lie between pixels of 1 mm
    phantom = render("squares", draw_subject("patients", 6), matrix=96, fov_mm=240.0)
    counted = np.round(phantom.purity * 9)
    np.testing.assert_allclose(phantom.purity * 9, counted, atol=1e-5)
    assert phantom.purity.dtype == np.float32
    inside = phantom.label > 0
    # a pixel in a square holds tissue of density 1 there and air elsewhere, so that its density is its purity
    uneven = phantom.pd[inside] / phantom.purity[inside]
    np.testing.assert_allclose(uneven, 1, atol=0.1)
    assert 1 <= counted[inside].min() < 9
    assert (phantom.purity[inside] == 1).any()


def test_the_slice_position_chooses_the_array_of_the_system_phantom():
    spheres = [render("nist", draw_subject("patients", 0), level, 64).t1h2o.max() for level in (-1.0, -0.01, 0.0, 1.0)]
    names = {render("nist", draw_subject("patients", 0), level, 64).label_names for level in (-1.0, 1.0)}
    assert len(names) == 1
    rounding = SUPERSAMPLING**2 * float(
        np.finfo(np.float32).eps
    )  # of the mean over the points of a pixel, by their density
    assert spheres[0] == pytest.approx(spheres[1], rel=rounding)
    assert spheres[2] == pytest.approx(spheres[3], rel=rounding)
