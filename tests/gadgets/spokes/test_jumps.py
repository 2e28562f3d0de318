import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.gadgets.spokes.jumps import find_jumps

RUNS = np.repeat([0, 1], [40, 40])


@pytest.fixture
def levels(rng):
    """Five coils whose signal recovers from an inversion through zero, and jumps at the end of the first run."""
    recovery = np.concatenate([1 - 2 * np.exp(-np.arange(40) / 10), 3 + np.exp(-np.arange(40) / 3)])
    signal = recovery[:, None] * complex_normal(rng, 5) + 0.01 * complex_normal(rng, 80, 5)
    return signal.astype(np.complex64)


def test_recovery_and_contrast_changes_are_no_jumps(levels):
    assert find_jumps(levels, RUNS) == []
    assert find_jumps(levels[:2], RUNS[:2]) == []


@pytest.mark.parametrize("factor", [0.5, 1.5, 10.0, -1.0, 1j])
def test_a_change_of_gain_is_found_with_its_factor(levels, factor):
    levels[60:] *= factor
    (jump,) = find_jumps(levels, RUNS)
    assert jump.coils == ()
    assert jump.block in (59, 60)
    assert jump.factor == pytest.approx(factor, rel=0.05)


def test_a_coil_that_dies_is_named(levels):
    levels[60:, 3] = 0
    jumps = [jump for jump in find_jumps(levels, RUNS) if jump.coils]
    assert [jump.coils for jump in jumps] == [(3,)]
    assert jumps[0].block in (59, 60)
    assert jumps[0].factor == 0


def test_coils_that_change_places_are_named(levels):
    levels[55:, [1, 4]] = levels[55:, [4, 1]]
    jumps = [jump for jump in find_jumps(levels, RUNS) if jump.coils]
    assert [jump.coils for jump in jumps] == [(1, 4)]


def test_a_jump_is_judged_only_where_the_signal_is_bright_enough(levels):
    levels[60:, 3] = 0  # there the signal is 0.75 of the brightest of its run
    assert [jump.coils for jump in find_jumps(levels, RUNS, faintest=0.7)] == [(3,)]
    assert find_jumps(levels, RUNS, faintest=0.8) == []


def start_up(levels):
    """The signals (tissues, blocks) of two tissues that fall from equilibrium to steady states."""
    decay = np.exp(-np.arange(len(levels)) / 1.5)
    return np.stack([0.6 + 0.4 * decay, 0.2 + 0.8 * decay])


def test_a_start_up_that_the_sequence_explains_is_no_jump(levels):
    tissues = start_up(levels)
    levels = (tissues.mean(0)[:, None] * levels[-1]).astype(np.complex64)
    (jump,) = find_jumps(levels, 0 * RUNS)
    assert jump.block == 1
    assert find_jumps(levels, 0 * RUNS, tissues=tissues) == []


@pytest.mark.parametrize(("block", "factor"), [(2, 10.0), (2, -1.0), (2, 1j), (60, 0.5), (60, 1.5)])
def test_a_change_of_gain_in_a_start_up_is_more_than_the_sequence_explains(levels, factor, block):
    tissues = start_up(levels)
    levels = (tissues.mean(0)[:, None] * levels[-1]).astype(np.complex64)
    levels[block:] *= factor
    (jump,) = find_jumps(levels, 0 * RUNS, tissues=tissues)
    assert jump.block in (block - 1, block)


def test_where_a_tissue_passes_zero_all_of_a_jump_is_unexpected(levels):
    levels[60:] *= 2
    tissues = np.linspace(-1, 1, len(levels))[None] + np.array([[0.5], [-0.5]])
    assert find_jumps(levels, RUNS, tissues=tissues) == find_jumps(levels, RUNS)
