from dataclasses import replace

import numpy as np
import pytest
from small_scan import short_sequence

from spokestream.errors import ScanError
from spokestream.gadgets.network.missing_frames import missing_frames, refill
from spokestream.simulator.physics.dictionaries.water_fat import Grid, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.signal import frame_means, voxel_signal
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis


@pytest.fixture(scope="module")
def thigh():
    """The published sequence, its atoms, and frames (voxels, frames) of tissue that is on no grid."""
    sequence = load_sequence("t1ff-2d-1400")
    rng = np.random.default_rng(7)
    draws = {"ff": (0, 1), "t1h2o_ms": (600, 1700), "t1fat_ms": (230, 390), "deltaf_hz": (-100, 100), "b1": (0.5, 1.1)}
    signal = voxel_signal(sequence, **{name: rng.uniform(*limits, 200) for name, limits in draws.items()})
    return sequence, build_dictionary(sequence).atoms, frame_means(signal, sequence.spokes_per_frame)


@pytest.mark.parametrize("kind", [compressed_basis, frame_basis])
@pytest.mark.parametrize("missing", [[40], [3, 60, 61, 62, 63, 64, 150], list(range(100, 112))])
def test_refilled_coefficients_are_much_closer_to_the_complete_slice(thigh, kind, missing):
    sequence, atoms, frames = thigh
    basis = kind(sequence, atoms)
    whole, seen = frames @ basis.weights, frames @ basis.without(missing).weights
    filled = seen @ refill(basis, missing, atoms).T
    assert np.linalg.norm(filled - whole) < 0.12 * np.linalg.norm(seen - whole)


def test_a_whole_slice_stays_as_it_is(thigh):
    sequence, atoms, _ = thigh
    basis = compressed_basis(sequence, atoms)
    assert np.array_equal(refill(basis, [], atoms), np.eye(len(basis.te_ms)))


def test_echo_times_do_not_mix(thigh):
    sequence, atoms, _ = thigh
    basis = compressed_basis(sequence, atoms)
    matrix = refill(basis, [5, 100, 170], atoms)
    assert np.any(matrix != np.eye(len(matrix)))
    assert not matrix[basis.te_ms[:, None] != basis.te_ms].any()


def test_refilling_does_not_amplify_noise(thigh):
    sequence, atoms, frames = thigh
    basis = compressed_basis(sequence, atoms)
    missing = list(range(0, 60))
    matrix = refill(basis, missing, atoms)
    rng = np.random.default_rng(3)
    noise = 0.3 * np.abs(frames).mean() * rng.standard_normal((200, len(basis.weights)))
    seen = (frames + noise) @ basis.without(missing).weights
    whole = frames @ basis.weights
    assert np.linalg.norm(seen @ matrix.T - whole) < np.linalg.norm(seen - whole)


def test_an_echo_time_without_any_frame_cannot_be_refilled():
    sequence = short_sequence()
    atoms = build_dictionary(sequence, Grid()).atoms
    with pytest.raises(ScanError, match=r"every frame with the echo time 4.63 ms is missing"):
        refill(compressed_basis(sequence, atoms), [8, 9], atoms)


def test_missing_frames_are_distinguished_from_another_basis():
    sequence = short_sequence()
    atoms = build_dictionary(sequence).atoms
    basis = compressed_basis(sequence, atoms)
    assert missing_frames(basis, basis) == []
    assert missing_frames(basis, basis.without([2, 7])) == [2, 7]
    assert missing_frames(basis, frame_basis(sequence, atoms)) is None
    rounded = np.random.default_rng(0).standard_normal(basis.weights.shape) * 1e-5 * basis.weights.std()
    assert missing_frames(basis, replace(basis, weights=basis.weights + rounded.astype(np.float32))) == []
    assert missing_frames(basis, replace(basis, weights=basis.weights * np.float32(1.001))) is None
    assert missing_frames(basis, compressed_basis(sequence, atoms[::-1] ** 2)) is None
