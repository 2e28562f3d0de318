"""Accuracy with dense sampling and no noise: errors are limited by the spacing of the dictionary's grid."""

import numpy as np
import torch

from spokestream.gadgets.imaging.radial_grid import RadialGrid, ramp_density
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms, match_two_pools
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_means
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

MATRIX = (33, 29)
N_SPOKES = 89  # per image; a disc of this size needs 52


def smooth_body():
    """Maps that change slowly in a body with soft edges, so that all details are within the extent of k-space."""
    y, x = np.mgrid[-1 : 1 : MATRIX[0] * 1j, -1 : 1 : MATRIX[1] * 1j]
    maps = {
        "ff": 0.3 + 0.2 * x,
        "t1h2o_ms": 1250 + 150 * y,
        "t1fat_ms": 320 + 30 * x * y,
        "deltaf_hz": 30 * x + 25 * y,
        "b1": 0.75 + 0.12 * y,
    }
    return np.exp(-4 * (x**2 + y**2)), maps


def exact_spokes(images, k):
    """The spokes (K, spokes, samples), computed by direct summation."""
    y, x = (np.arange(n) - n // 2 for n in MATRIX)
    out = np.empty((len(images), *k.shape[:2]), np.complex64)
    for s, spoke in enumerate(k):
        ey = np.exp(-2j * np.pi * np.outer(spoke[:, 1], y / MATRIX[0]))
        ex = np.exp(-2j * np.pi * np.outer(spoke[:, 0], x / MATRIX[1]))
        out[:, s] = np.einsum("ny,fyx,nx->fn", ey, images, ex, optimize=True)
    return out


def test_errors_fall_to_the_spacing_of_the_grid():
    dictionary = build_dictionary(load_sequence("t1ff-2d-1400"))
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    density, truth = smooth_body()
    signal = voxel_signal(dictionary.sequence, **truth)
    frames = frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)
    images = np.moveaxis(density[..., None] * (frames @ basis.weights), -1, 0)
    k = radial_spokes(golden_angles(np.arange(N_SPOKES)), 2 * max(MATRIX), max(MATRIX), 2.0).astype(np.float32)
    grid = RadialGrid(MATRIX, len(images), tolerance=1e-4)
    space = grid.empty()
    grid.spread(exact_spokes(images, k) * ramp_density(k), k, out=space)
    gridded = grid.images(torch.from_numpy(space)).numpy()
    inside = density > 0.3
    match = match_two_pools(
        torch.from_numpy(np.ascontiguousarray(gridded[:, inside].T)), TwoPoolAtoms(dictionary, basis)
    )
    axes = dictionary.grid
    found = {"ff": match.fraction, "t1h2o_ms": axes.t1h2o_ms[match.index["t1h2o"]], "b1": axes.b1[match.index["b1"]]}
    found |= {"deltaf_hz": axes.deltaf_hz[match.index["deltaf"]], "t1fat_ms": axes.t1fat_ms[match.index["t1fat"]]}
    # the step of B1 is 0.05; errors of half a step of B1 and of off-resonance cause errors of FF and T1
    limits = {"ff": 0.015, "t1h2o_ms": 35, "t1fat_ms": 30, "deltaf_hz": 5, "b1": 0.025}
    for name, limit in limits.items():
        error = found[name] - truth[name][inside]
        assert np.sqrt(np.mean(error**2)) < limit, name
