"""The receive array against the field of a loop on its axis, and its noise."""

import numpy as np
import pytest

from spokestream.simulator.acquisition.receive_coils import loop_field, noise_covariance, receive_array


@pytest.mark.parametrize("distance", [60.0, 100.0, 150.0])
def test_on_its_axis_a_loop_has_the_textbook_field(distance):
    radius, inward = 40.0, np.array([-0.6, -0.8])
    center = np.array([60.0, 80.0])  # its axis passes through the origin
    x, y = center + distance * inward
    field = loop_field(center, radius, np.array([x, y]))[1, 0]  # row y, column x
    textbook = 2 * np.pi * radius**2 / (radius**2 + distance**2) ** 1.5
    assert field == pytest.approx(textbook * (inward[0] - 1j * inward[1]), rel=0.02)


def test_where_no_current_flows_the_field_has_no_curl():
    axis = np.arange(-5.0, 6.0)
    field = loop_field(np.array([0.0, 150.0]), 50.0, axis)
    bx, by = field.real, -field.imag
    curl = np.gradient(by, axis, axis=1) - np.gradient(bx, axis, axis=0)
    scale = np.abs(np.gradient(by, axis, axis=0)).max()
    assert np.abs(curl[1:-1, 1:-1]).max() < 0.01 * scale


def test_every_coil_sees_its_own_side_best():
    n = 31
    maps = receive_array(8, n, 350.0)
    assert maps.shape == (8, n, n)
    assert maps.dtype == np.complex64
    right = np.abs(maps[0])  # at bearing 0, on +x
    assert right[n // 2, -4] > 3 * right[n // 2, 3]
    opposite = np.abs(maps[4])
    assert opposite[n // 2, 3] > 3 * opposite[n // 2, -4]


def test_the_array_has_unit_sensitivity_at_the_centre_pixel():
    maps = receive_array(5, 22, 300.0, seed=3)
    assert np.linalg.norm(maps[:, 11, 11]) == pytest.approx(1, rel=1e-6)
    assert not np.allclose(maps, receive_array(5, 22, 300.0, seed=4))
    np.testing.assert_array_equal(maps, receive_array(5, 22, 300.0, seed=3))


@pytest.mark.parametrize("n_coils", [1, 2, 7, 12, 32])
def test_noise_covariance_is_hermitian_and_positive(n_coils):
    covariance = noise_covariance(n_coils, seed=1)
    np.testing.assert_allclose(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0.1
    assert np.trace(covariance).real == pytest.approx(n_coils)


def test_neighbours_share_noise_and_the_ring_closes():
    covariance = noise_covariance(9)
    sd = np.sqrt(np.diag(covariance).real)
    correlation = np.abs(covariance) / np.outer(sd, sd)
    assert correlation[0, 1] == pytest.approx(0.35)
    assert correlation[0, 8] == pytest.approx(0.35)
    assert correlation[0, 4] < 0.02


@pytest.mark.parametrize("bad", [(0, 8, 350.0), (2, 0, 350.0), (2, 8, 0.0)])
def test_no_array_from_nothing(bad):
    with pytest.raises(ValueError, match="coils, pixels and a field of view"):
        receive_array(*bad)
    with pytest.raises(ValueError, match="at least one coil"):
        noise_covariance(0)
