"""From coarse to fine: the window of k-space, the order of scales, and a brain that plain matching gets wrong."""

from math import inf

import numpy as np
import pytest
import torch
from small_scan import relaxation_dictionary

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.restoration.blip import nearest_fingerprints, restore_fingerprints
from spokestream.gadgets.restoration.measurement import InBasis
from spokestream.gadgets.restoration.multi_coil import MultiCoilSampling
from spokestream.gadgets.restoration.multiscale import low_resolution, restore_from_coarse_to_fine
from spokestream.simulator.acquisition.receive_coils import receive_array
from spokestream.simulator.phantoms import draw_subject, render
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

MATRIX, FRAMES, SPOKES, K = 48, 60, 4, 8


@pytest.mark.parametrize(("extent", "weight"), [(0.5, 0.5), (0.75, 0.75), (0.25, 0.0), (inf, 1.0)])
def test_a_wave_is_weighted_by_its_place_in_the_window(extent, weight):
    """Four cycles in 32 pixels are a quarter of the way to the edge: cos²(pi/2 distance / extent) is the weight."""
    y, x = torch.arange(32.0)[:, None], torch.arange(24.0)
    wave = torch.exp(2j * torch.pi * (4 * y + 0 * x) / 32)[None]
    torch.testing.assert_close(low_resolution(wave, extent), weight * wave, rtol=0, atol=1e-5)
    torch.testing.assert_close(low_resolution(torch.ones_like(wave), extent), torch.ones_like(wave))


@pytest.fixture(scope="module")
def dictionary():
    return relaxation_dictionary(np.geomspace(500, 5000, 40), np.geomspace(30, 2000, 40))


@pytest.fixture(scope="module")
def scan(dictionary):
    """A brain with four spokes a frame, a ninth of what 48 pixels need: measurement, samples, projection, truth."""
    phantom = render("brain", draw_subject("volunteers", 0), matrix=MATRIX)
    names = ("spinal fluid", "grey matter", "white matter", "deep grey matter")
    inside = np.isin(phantom.label, [phantom.label_names.index(name) for name in names]) & (phantom.t2h2o > 0)
    truth = {"t1": phantom.t1h2o[inside].astype(float), "t2": phantom.t2h2o[inside].astype(float)}
    frames = np.zeros((FRAMES, MATRIX, MATRIX), np.complex64)
    frames[:, inside] = (phantom.pd[inside][:, None] * np.asarray(fingerprint(dictionary.sequence, *truth.values()))).T
    k = radial_spokes(golden_angles(np.arange(FRAMES * SPOKES)), 2 * MATRIX, MATRIX, 2.0).reshape(FRAMES, -1, 2)
    coils = receive_array(4, MATRIX, 240.0)
    area = np.hypot(k[..., 0], k[..., 1]).clip(min=1 / 8)
    weights = np.sqrt(area / area.max())
    sampling = MultiCoilSampling(k, coils / np.linalg.norm(coils, axis=0), weights=weights)
    vectors = np.linalg.svd(dictionary.atoms, full_matrices=False)[2][:K].T.astype(np.float32)
    basis = TemporalBasis(vectors, np.full(K, 2.0), 1, np.ones(K, np.float32))
    atoms = OnePoolAtoms(dictionary, basis)
    measurement = InBasis(sampling, torch.from_numpy(vectors))
    samples = sampling.forward(torch.from_numpy(frames))
    return measurement, samples, atoms, nearest_fingerprints(atoms, basis), torch.from_numpy(inside), truth


def errors(images, atoms, inside, truth):
    """Root mean square of the relative errors of T1 and T2 in the brain."""
    found = atoms.dictionary.values(atoms.match(images[:, inside].T))
    return {name: float(np.sqrt(np.mean((found[name] / true - 1) ** 2))) for name, true in truth.items()}


def test_a_brain_has_less_error_than_by_plain_matching(scan):
    """Plain matching is of the gridded frames, because the weights are those of gridding. Many T2 are far too long."""
    measurement, samples, atoms, nearest, inside, truth = scan
    plain = errors(measurement.adjoint(samples), atoms, inside, truth)
    found = errors(restore_from_coarse_to_fine(measurement, samples, nearest, 100.0, 4), atoms, inside, truth)
    assert found["t1"] < 0.7 * plain["t1"]
    assert found["t2"] < 0.1 * plain["t2"]


def test_all_of_k_space_is_blip_and_iterations_are_counted_over_all_scales(scan):
    """The residual is computed again at every scale: rounding, which the transform makes 1e-5, is the difference."""
    measurement, samples, _, nearest, _, _ = scan
    costs, expected = [], []
    found = restore_from_coarse_to_fine(
        measurement, samples, nearest, 100.0, 2, lambda n, cost: costs.append((n, cost)), scales=(inf, inf)
    )
    by_blip = restore_fingerprints(measurement, samples, nearest, 100.0, 4, lambda n, cost: expected.append((n, cost)))
    torch.testing.assert_close(found, by_blip, rtol=1e-3, atol=1e-4 * float(by_blip.abs().max()))
    assert [n for n, _ in costs] == [1, 2, 3, 4]
    np.testing.assert_allclose([cost for _, cost in costs], [cost for _, cost in expected], rtol=1e-3)
