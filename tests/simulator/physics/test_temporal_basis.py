"""Sliding windows: which frames every image holds, its noise, and which trains have none."""

import numpy as np
import pytest
from small_scan import short_sequence

from spokestream.errors import InputError
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import compressed_basis, frame_basis, frame_noise, window_basis


def test_a_window_of_48_slides_over_720_spokes_to_673_images():
    """Balsiger et al. 2018."""
    basis = window_basis(load_sequence("fisp-balsiger-720"), 48, 1)
    assert basis.weights.shape == (720, 673)
    signals = np.random.default_rng(0).standard_normal((3, 720))
    expected = np.stack([signals[:, first : first + 48].mean(1) for first in range(673)], axis=1)
    np.testing.assert_allclose(basis.project(signals), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "stride", "firsts"),
    [
        (16, 8, [0, 1, 2, 3, 4, 6, 8]),  # six frames of the first echo time, two of each of the others
        (16, 16, [0, 2, 4, 6, 8]),
        (8, 24, [0, 3, 5, 6, 7, 8, 9]),  # strides of three frames end at the fourth; one more window is the sixth
    ],
)
def test_windows_hold_one_echo_time_and_slide_to_the_last_of_its_spokes(window, stride, firsts):
    sequence = short_sequence()
    basis = window_basis(sequence, window, stride)
    width = window // 8
    for image, first in zip(basis.weights.T, firsts, strict=True):
        assert np.flatnonzero(image).tolist() == list(range(first, first + width))
        np.testing.assert_allclose(image[first : first + width], 1 / width)
    assert basis.te_ms.tolist() == [sequence.te_ms[8 * first] for first in firsts]
    assert basis.is_windows


def test_windows_of_one_frame_are_the_frames():
    sequence = short_sequence()
    atoms = build_dictionary(sequence).atoms
    windows, frames = window_basis(sequence, 8, 8, atoms), frame_basis(sequence, atoms)
    for name in ("weights", "te_ms"):
        np.testing.assert_array_equal(getattr(windows, name), getattr(frames, name))
    np.testing.assert_allclose(windows.noise, frames.noise, rtol=1e-6)


def test_the_noise_of_a_window_is_that_of_the_mean_of_its_frames():
    sequence = short_sequence()
    atoms = build_dictionary(sequence).atoms
    basis, variance = window_basis(sequence, 16, 8, atoms), frame_noise(atoms, 8) ** 2
    expected = [np.sqrt(variance[first] + variance[first + 1]) / 2 for first in (0, 1, 2, 3, 4, 6, 8)]
    np.testing.assert_allclose(basis.noise / basis.noise[0], expected / expected[0], rtol=1e-6)


def test_independent_images_are_windows_that_share_no_frame_and_all_others():
    sequence = short_sequence()
    atoms = build_dictionary(sequence).atoms
    overlapping = window_basis(sequence, 16, 8, atoms)
    assert overlapping.independent.tolist() == [0, 2, 4, 5, 6]
    some = overlapping.only(overlapping.independent)
    np.testing.assert_array_equal(some.weights, window_basis(sequence, 16, 16).weights)
    np.testing.assert_array_equal(some.noise, overlapping.noise[[0, 2, 4, 5, 6]])
    lacking = overlapping.without([1, 6])
    assert lacking.is_windows
    assert lacking.independent.tolist() == [0, 1, 3, 5, 6]  # frame 1 is missing: windows 0 and 1 share no other
    for basis in (compressed_basis(sequence, atoms), frame_basis(sequence, atoms)):
        assert basis.independent.tolist() == list(range(basis.weights.shape[1]))
    assert not compressed_basis(sequence, atoms).is_windows


@pytest.mark.parametrize(
    ("window", "stride", "sentence"),
    [
        (12, 8, "A frame of 'short' has 8 readouts; choose a window and a stride that are multiples of it"),
        (16, 4, "not 16 and 4"),
        (24, 8, "A window of 24 readouts does not fit into 16 consecutive readouts of the echo time 3.45 ms"),
    ],
)
def test_windows_that_a_train_does_not_have_are_refused(window, stride, sentence):
    with pytest.raises(InputError, match=sentence):
        window_basis(short_sequence(), window, stride)
