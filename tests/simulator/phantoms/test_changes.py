"""Changes of phantoms: the spectrum of the texture, the T1 of lesions and vessels, and the range of fields."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spokestream.simulator.expansion.signal_expansion import TissueRange
from spokestream.simulator.expansion.spoke_terms import PEOPLE
from spokestream.simulator.phantoms import Phantom, thigh
from spokestream.simulator.phantoms.changes import CHANGES, changed
from spokestream.simulator.phantoms.changes.field_ranges import (
    ANY_B1,
    ANY_OFF_RESONANCE_HZ,
    B1_RANGE,
    OFF_RESONANCE_HZ,
)
from spokestream.simulator.phantoms.changes.oedema import OEDEMA, T1_MS
from spokestream.simulator.phantoms.changes.texture import BAND_FF, BAND_T1_FAT_MS, BAND_T1_WATER_MS
from spokestream.simulator.phantoms.changes.vessels import RIM, VESSEL


@pytest.fixture(scope="module")
def slices():
    return [thigh(96, seed=5000), thigh(96, seed=5000, level=0.2)]


def even(n, fov_mm):
    """A slice of one tissue that fills the field of view."""
    full = np.ones((n, n), np.float32)
    return Phantom(
        full, full * 0.5, full * 1300, full * 35, full * 350, full * 0, full, np.ones((n, n), np.uint8), ("air", "all"),
        full, fov_mm,
    )  # fmt: skip


@pytest.mark.parametrize("n", [256, 350])
def test_the_texture_has_the_same_variance_in_every_octave(n):
    found = {"t1h2o": [], "ff": [], "t1fat": []}
    for phantom in changed([even(n, 350.0)] * 12, "texture", 5000):
        for name, of_bands in found.items():
            values = getattr(phantom, name).astype(np.float64)
            smooth = [gaussian_filter(values, s * n / 350, mode="wrap")[40:-40, 40:-40] for s in (1.4, 2.8, 5.6, 11.2)]
            of_bands.append([np.std(a - b) for a, b in pairwise(smooth)])
    wanted = {"t1h2o": BAND_T1_WATER_MS, "ff": BAND_FF, "t1fat": BAND_T1_FAT_MS}
    for name, of_bands in found.items():
        assert np.sqrt(np.mean(np.square(of_bands), 0)) == pytest.approx([wanted[name]] * 3, rel=0.12), name


def test_the_texture_is_the_same_on_any_grid():
    coarse, fine = (changed([even(n, 300.0)], "texture", 1)[0].t1h2o for n in (30, 300))
    means = gaussian_filter(fine.astype(np.float64), 20)[::10, ::10], gaussian_filter(coarse.astype(np.float64), 2)
    assert np.corrcoef(means[0][8:-8, 8:-8].ravel(), means[1][8:-8, 8:-8].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("t1fat_ms", [300, 400])  # about the limits without texture
def test_tissue_with_texture_stays_in_the_range_of_the_signals(t1fat_ms):
    usual = even(64, 350.0)
    for seed in range(40):
        (new,) = changed([replace(usual, t1fat=t1fat_ms * usual.pd)], "texture", seed)
        low, high = TissueRange.of(new).t1fat_ms
        assert PEOPLE.t1fat_ms[0] < low < high < PEOPLE.t1fat_ms[1]


def test_texture_leaves_air_and_bounds_as_they_are(slices):
    for old, new in zip(slices, changed(slices, "texture", 5000), strict=True):
        air = old.pd == 0
        assert np.array_equal(old.t1h2o[air], new.t1h2o[air])
        assert np.array_equal(old.ff[air], new.ff[air])
        assert 0 <= new.ff.min() <= new.ff.max() <= max(0.97, old.ff.max())


def test_a_lesion_has_400_ms_more_in_its_middle_and_nothing_changes_outside(slices):
    for old, new in zip(slices, changed(slices, "oedema", 5000), strict=True):
        more = new.t1h2o - old.t1h2o
        inside = new.label == new.label_names.index(OEDEMA)
        assert more.max() == pytest.approx(T1_MS, rel=1e-5) == pytest.approx(400, rel=1e-5)
        assert np.count_nonzero(more > 399) > 20
        assert np.array_equal(more > 0, inside)
        assert np.array_equal(old.label[~inside], new.label[~inside])
        assert np.array_equal(old.ff, new.ff)
    assert not np.array_equal(*(of_slice.label == of_slice.label_names.index(OEDEMA) for of_slice in (
        changed(slices[:1], "oedema", 5000)[0], changed(slices[:1], "oedema", 5001)[0]
    )))  # fmt: skip


def test_b1_and_off_resonance_fill_their_ranges_and_keep_their_shape(slices):
    assert (B1_RANGE, OFF_RESONANCE_HZ) == ((0.35, 0.5), (60, 120))
    for name, change, limits in (("b1", "low-b1", B1_RANGE), ("deltaf", "off-resonance", OFF_RESONANCE_HZ)):
        for old, new in zip(slices, changed(slices, change, 5000), strict=True):
            tissue = old.pd > 0
            before, after = getattr(old, name)[tissue], getattr(new, name)[tissue]
            assert (after.min(), after.max()) == pytest.approx(limits)
            assert np.corrcoef(before, after)[0, 1] == pytest.approx(1)
            assert np.array_equal(old.t1h2o, new.t1h2o)


def test_any_fields_are_parts_of_their_ranges_and_cover_them_together(slices):
    limits = np.array([
        [(values[tissue].min(), values[tissue].max()) for values in (new.b1, new.deltaf)]
        for seed in range(200)
        for new in changed(slices[:1], "any-fields", seed)
        for tissue in [new.pd > 0]
    ])  # fmt: skip
    b1, deltaf = limits[:, 0], limits[:, 1]
    for of_slices, (low, high) in ((b1, ANY_B1), (deltaf, ANY_OFF_RESONANCE_HZ)):
        assert low <= of_slices[:, 0].min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < of_slices[:, 1].max() <= high
        assert np.ptp(of_slices, axis=1).min() >= 0.1 * (high - low) * (1 - 1e-5)


def test_a_vessel_is_blood_in_a_rim_of_fat(slices):
    for old, new in zip(slices, changed(slices, "vessels", 5000), strict=True):
        blood, fat = (new.label == new.label_names.index(name) for name in (VESSEL, RIM))
        assert blood.any()
        assert fat.any()
        assert np.all(new.t1h2o[blood] == 1932)
        assert np.all(new.ff[blood] == np.float32(0.01))
        assert np.all(new.ff[fat] == np.float32(0.86))
        assert np.array_equal(old.t1h2o[~(blood | fat)], new.t1h2o[~(blood | fat)])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_the_same_in_every_call_and_leaves_empty_slices(name, slices):
    one, other = (changed(slices[:1], name, 5003)[0] for _ in range(2))
    assert all(np.array_equal(getattr(one, map_), getattr(other, map_)) for map_ in ("t1h2o", "ff", "b1", "deltaf"))
    empty = even(16, 100.0)
    nothing = changed([Phantom(**{**vars(empty), "pd": empty.pd * 0, "t1h2o": empty.pd * 0})], name, 5003)[0]
    assert np.all(nothing.t1h2o == 0)
