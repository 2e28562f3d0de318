import numpy as np
import pytest
from small_scan import complex_normal, short_sequence

from spokestream.gadgets.spokes.outliers import (
    Earlier,
    SpokeFeatures,
    complex_median,
    find_outliers,
    runs,
    spoke_features,
)
from spokestream.simulator.physics.sequences.loading import load_sequence

N_SPOKES, N_COILS, N_BINS = 24, 4, 6


@pytest.fixture
def good(rng):
    """Samples at k = 0 that change by 30 % within the window, and the peaks around them."""
    pattern = complex_normal(rng, N_COILS)
    centre = np.linspace(1, 1.3, N_SPOKES)[:, None] * pattern * (1 + 0.05 * complex_normal(rng, N_SPOKES, 1))
    largest = np.abs(centre).max(1, keepdims=True)
    peaks = largest * np.array([0.05, 0.2, 1, 0.2, 0.05, 0.02]) * rng.uniform(1, 3, (N_SPOKES, N_BINS))
    return centre.astype(np.complex64), peaks.astype(np.float32)


def test_runs_end_where_the_contrast_jumps():
    # echo times change at 48 and 64, flip angles at 24, 48 and 64
    np.testing.assert_array_equal(runs(short_sequence()), np.repeat([0, 1, 2, 3], [24, 24, 16, 16]))
    ends = np.flatnonzero(np.diff(runs(load_sequence("t1ff-2d-1400")))) + 1
    np.testing.assert_array_equal(ends, [600, 800, 1000, 1200])


def test_excitations_far_apart_in_time_are_not_compared():
    sequence = load_sequence("epi-cohen-25")  # TR is 100 to 140 ms
    np.testing.assert_array_equal(runs(sequence), np.arange(25))


def test_features_are_the_centre_and_the_largest_parts(rng):
    data = complex_normal(rng, 2, 3, 40)
    data[1, 2, 20] = 3 - 50j
    k = np.stack([np.linspace(-10, 10, 40) + 3, np.zeros(40)], axis=1).astype(np.float32)
    spokes = [spoke_features(data[0], k), spoke_features(data[1], np.ascontiguousarray(k[::-1]))]
    centre, peaks = SpokeFeatures.stacked(spokes)
    np.testing.assert_array_equal(centre, [data[0, :, 14], data[1, :, 25]])
    assert peaks.shape == (2, 3)  # pieces of 16, 16 and 8 samples
    assert peaks[1, 1] == 50
    assert peaks[0, 2] == max(np.abs(data[0, :, 32:].real).max(), np.abs(data[0, :, 32:].imag).max())


def test_neighbours_that_change_gradually_are_good(good):
    found = find_outliers(SpokeFeatures(*good))
    assert not found.spikes.any()
    assert not found.strangers.any()


@pytest.mark.parametrize(
    "change",
    [lambda v: -v, lambda v: 2 * v, lambda v: 0.1 * v, lambda v: v * np.exp(1j), lambda v: v[::-1] * 1j],
    ids=["sign", "gain", "lost", "phase", "coils"],
)
def test_a_spoke_that_does_not_continue_its_neighbours_is_found(good, change):
    centre, peaks = good
    centre[[5, 17]] = change(centre[[5, 17]])
    np.testing.assert_array_equal(np.flatnonzero(find_outliers(SpokeFeatures(centre, peaks)).strangers), [5, 17])


@pytest.mark.parametrize("size", [1.0, 1e6, np.inf])
def test_a_spike_at_the_end_of_a_readout_is_found(good, size):
    centre, peaks = good
    peaks[9, 5] = size * peaks.max()
    found = find_outliers(SpokeFeatures(centre, peaks))
    np.testing.assert_array_equal(np.flatnonzero(found.spikes), [9])
    assert not found.strangers.any()


def test_a_steady_change_across_the_window_is_no_fault_but_a_spoke_off_its_line_is(good, rng):
    # as in a gradient-spoiled train just after its inversion: the samples at k = 0 grow tenfold
    _, peaks = good
    centre = (np.linspace(0.2, 2, N_SPOKES)[:, None] * complex_normal(rng, N_COILS)).astype(np.complex64)
    assert not find_outliers(SpokeFeatures(centre, peaks)).strangers.any()
    centre[[3, 18]] *= -1
    assert list(np.flatnonzero(find_outliers(SpokeFeatures(centre, peaks)).strangers)) == [18]  # 3 has 2/5 of the size


def test_data_that_vary_from_spoke_to_spoke_lose_nothing(rng):
    # noise alone, whose every sample differs from the median by its whole size
    centre, peaks = complex_normal(rng, N_SPOKES, N_COILS), rng.uniform(1, 3, (N_SPOKES, N_BINS))
    found = find_outliers(SpokeFeatures(centre, peaks.astype(np.float32)))
    assert not found.strangers.any()
    assert not found.spikes.any()


def test_complex_median_takes_both_parts():
    values = np.array([[1 + 9j], [2 + 7j], [300 - 800j]], np.complex64)
    np.testing.assert_array_equal(complex_median(values), [2 + 7j])


@pytest.mark.parametrize("n", [8, 12, 20])
def test_faulty_spokes_are_found_among_the_earlier_ones_even_if_they_are_the_majority(good, n):
    centre, peaks = good
    faulty, disturbed = centre.copy(), peaks.copy()
    faulty[-n:] *= -2
    disturbed[-n:, 5] = peaks.max()
    earlier = Earlier(centre / np.float32(1.3), np.median(peaks, axis=0))  # where the change of 30 % begins
    found = find_outliers(SpokeFeatures(faulty, disturbed), earlier)
    for mask in (found.strangers, found.spikes):
        np.testing.assert_array_equal(np.flatnonzero(mask), np.arange(N_SPOKES - n, N_SPOKES))


@pytest.mark.parametrize("start", [200, 800])
def test_spokes_of_an_inversion_recovery_are_good_even_where_the_signal_passes_through_zero(rng, start):
    """A recovery with a T1 of 1,000 ms passes through zero at 693 ms."""
    weights = complex_normal(rng, 6)
    spoke = (np.arange(48) * 7 + start - 24 * 7) / 1000
    centre = ((1 - 2 * np.exp(-spoke))[:, None] * weights).astype(np.complex64)
    peaks = np.ones((24, 4), np.float32)
    brightest = float(np.linalg.norm(weights))  # just after the inversion
    earlier = Earlier(centre[:24], peaks[0])
    assert not find_outliers(SpokeFeatures(centre[24:], peaks), earlier, brightest).strangers.any()
    negated = centre[24:].copy()
    negated[7] *= -1
    found = find_outliers(SpokeFeatures(negated, peaks), earlier, brightest).strangers
    # a sign is seen if the signal is large enough: 0.6 * 0.25 of the brightest for a change by twice the signal
    assert list(np.flatnonzero(found)) == ([7] if np.linalg.norm(centre[31]) > 0.075 * 1.2 * brightest else [])
