"""Memory of grids that is kept: which arrays, and how large."""

import numpy as np
import pytest

from spokestream.gadgets.imaging.kept_grids import KeptGrids


@pytest.fixture
def kept():
    grids = KeptGrids()
    grids.most_bytes = 8 * 60
    return grids


def test_the_next_scan_gets_the_memory_of_the_last_one(kept):
    first = kept.take((4, 5))
    kept.give(first)
    again = kept.take((5, 4))
    assert again.shape == (5, 4)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(again, kept.take((5, 4)))  # it is in use


@pytest.mark.parametrize(("shape", "is_kept"), [((5, 2), True), ((3, 3), False), ((21, 1), False)])
def test_kept_memory_is_at_most_twice_what_is_needed(kept, shape, is_kept):
    first = kept.take((20,))
    kept.give(first)
    assert np.shares_memory(first, kept.take(shape)) == is_kept
    assert not np.shares_memory(first, kept.take((20,)))  # it was taken, or released


def test_a_small_part_of_kept_memory_does_not_hide_its_size(kept):
    whole = kept.take((60,))
    kept.give(whole)
    part = kept.take((30,))
    kept.give(part)
    assert np.shares_memory(whole[30:], kept.take((60,))[30:])


def test_large_arrays_are_not_kept(kept):
    large = kept.take((61,))
    kept.give(large)
    assert not np.shares_memory(large, kept.take((61,)))


def test_nothing_is_kept_unless_it_is_allowed():
    grids = KeptGrids()
    array = grids.take((4,))
    grids.give(array)
    assert not np.shares_memory(array, grids.take((4,)))
