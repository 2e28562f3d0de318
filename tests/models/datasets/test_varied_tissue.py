"""Tissue with other relaxation times than the phantom's: by tissue, within limits, the same every time."""

import numpy as np
import pytest

from spokestream.models.datasets.varied_tissue import varied_relaxation
from spokestream.simulator.expansion.spoke_terms import PEOPLE
from spokestream.simulator.phantoms import draw_subject, render


@pytest.fixture(scope="module")
def brain():
    return [render("brain", draw_subject("patients", 4), level, 48) for level in (0.0, 0.2)]


def varied(brain, largest, seed=0):
    return varied_relaxation(brain, 20.0, largest, np.random.default_rng(seed))


def factors(old, new, name, tissue):
    inside = old.label == old.label_names.index(tissue)
    return getattr(new, name)[inside] / getattr(old, name)[inside]


def test_a_factor_of_1_changes_nothing(brain):
    assert varied(brain, 1.0) is brain


def test_every_tissue_has_factors_of_its_own_and_keeps_them_from_slice_to_slice(brain):
    new = varied(brain, 1.6)
    means = {
        (name, tissue): [
            np.log(factors(old, changed, name, tissue)).mean() for old, changed in zip(brain, new, strict=True)
        ]
        for name in ("t1h2o", "t2h2o")
        for tissue in ("white matter", "grey matter")
    }
    for first, second in means.values():
        assert first == pytest.approx(second, abs=0.06)  # but for the texture, whose mean over a slice is not 0
        assert abs(first) < np.log(1.6) + 0.1
    assert len({round(first, 2) for first, _ in means.values()}) == 4


def test_the_texture_within_a_tissue_has_the_stated_spread(brain):
    spread = np.log(factors(brain[0], varied(brain, 1.6)[0], "t1h2o", "white matter")).std()
    # three independent fields of 0.04; less what the longest of them varies over a slice
    assert 0.04 < spread < 0.04 * 3**0.5 * 1.3


def test_the_tissue_stays_in_the_range_of_the_signals(brain):
    for seed in range(8):
        for new in varied(brain, 4.0, seed):
            tissue = new.pd > 0
            for values, (low, high) in ((new.t1h2o, PEOPLE.t1h2o_ms), (new.t2h2o, PEOPLE.t2h2o_ms)):
                assert low <= values[tissue].min() <= values[tissue].max() <= high
            assert np.all(new.t2h2o[tissue] < new.t1h2o[tissue])


def test_air_and_all_else_stay(brain):
    for old, new in zip(brain, varied(brain, 1.6), strict=True):
        assert np.array_equal(new.t1h2o == 0, old.t1h2o == 0)
        for name in ("pd", "ff", "t1fat", "deltaf", "b1", "label"):
            assert getattr(new, name) is getattr(old, name)
