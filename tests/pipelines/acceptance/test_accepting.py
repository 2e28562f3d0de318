"""A phantom is found in whatever pose it lies, with the values that the maps give it; other objects are refused."""

from dataclasses import replace

import numpy as np
import pytest
from placed_phantom import placed_maps, scan_of

from spokestream.errors import InputError, ScanError
from spokestream.pipelines.acceptance.accepting import accept_maps
from spokestream.pipelines.acceptance.layouts.layout import nist_layouts, squares_layout
from spokestream.pipelines.acceptance.measuring import region
from spokestream.pipelines.acceptance.placement.pose import PixelGrid, Pose, centres_mm
from spokestream.simulator.phantoms import draw_subject

T1_ARRAY, T2_ARRAY = nist_layouts()
POSES = (
    Pose(0, 0, 0),
    Pose(17.3, -12.1, 141.0),
    Pose(-20.0, 6.4, -67.5, mirrored=True),
    Pose(3.1, 19.9, 18.0),  # the spheres of the ring lie between those of the layout
)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize(
    ("names", "level", "array"), [(("t1", "t2"), 0.5, T1_ARRAY), (("t1h2o", "ff"), -0.5, T2_ARRAY)]
)
def test_the_right_array_is_found_in_any_pose(pose, names, level, array, rng):
    maps, valid = placed_maps("nist", level, pose, rng, names)
    (found,) = accept_maps(scan_of((maps, valid)), nist_layouts(), 3.0)
    assert found.layout.title == array.title
    truth = pose.place(centres_mm(array.vials))
    assert np.linalg.norm(found.centres_mm - truth, axis=1).max() < 1.0  # pixels are 2.5 mm
    assert found.found.pose.mirrored == pose.mirrored
    assert found.found.pose.size == pytest.approx(1, abs=0.012)
    grid = PixelGrid(96, 96, (2.5, 2.5))
    for row in (row for row in found.rows if row.shown):
        inside = region(truth[row.number - 1], 7.5, grid)
        mean, error = maps[row.map][inside].mean(), 2 * maps[row.map][inside].std() / np.sqrt(inside.sum())
        assert row.mean == pytest.approx(float(mean), abs=float(error) + 1e-6)
    assert all(row.passes for row in found.rows if row.judged)
    assert sum(row.limit is not None for row in found.rows) == (9 if names[0] == "t1" else 12)


def test_each_array_is_measured_in_the_slice_that_shows_it_best(rng):
    pose = Pose(4, -3, 10)
    slices = [placed_maps("nist", level, pose, rng) for level in (-0.5, 0.5, 0.5)]
    for values in slices[1][0].values():  # one slice is blurred into its neighbourhood
        values[:] = 0.5 * (values + np.roll(values, 2, axis=0))
    found = accept_maps(scan_of(*slices), nist_layouts(), 3.0)
    assert [(one.layout.title, one.slice) for one in found] == [(T1_ARRAY.title, 2), (T2_ARRAY.title, 0)]


def test_squares_are_found_among_ninety_of_equal_shape(rng):
    pose = Pose(-6.0, 4.0, 7.0)
    maps, valid = placed_maps("squares", 0.0, pose, rng, ("t1h2o", "ff"), matrix=128, fov_mm=256.0, seed=3)
    layout = squares_layout(draw_subject("patients", 3))
    valid["t1h2o"] &= maps["ff"] < 0.7
    (found,) = accept_maps(scan_of((maps, valid), fov_mm=256.0), (layout,), 3.0)
    middle = np.mean([(vial.x_mm, vial.y_mm) for vial in layout.vials], axis=0)
    truth = pose.place(centres_mm(layout.vials) + middle)
    assert np.linalg.norm(found.centres_mm - truth, axis=1).max() < 1.0
    assert {row.map for row in found.rows} == {"t1h2o", "ff"}


def test_a_vial_that_was_exchanged_fails_and_the_others_pass(rng):
    maps, valid = placed_maps("nist", -0.5, Pose(5, 5, 30), rng)
    layout = replace(
        T2_ARRAY,
        vials=tuple(
            replace(vial, reference={**vial.reference, "t1": 700.0}) if n == 4 else vial
            for n, vial in enumerate(T2_ARRAY.vials)
        ),
    )
    (found,) = accept_maps(scan_of((maps, valid)), (layout,), 3.0)
    assert [row.vial for row in found.rows if not row.passes] == ["sphere 5"]


def test_a_vial_that_gives_no_signal_fails(rng):
    pose = Pose(5, 5, 30)
    maps, valid = placed_maps("nist", -0.5, pose, rng)
    gone = region(pose.place(centres_mm(T2_ARRAY.vials))[2], 12.5, PixelGrid(96, 96, (2.5, 2.5)))
    for mask in valid.values():
        mask[gone] = False
    (found,) = accept_maps(scan_of((maps, valid)), (T2_ARRAY,), 3.0)
    failed = [row for row in found.rows if not row.passes]
    assert [(row.vial, row.map, row.voxels) for row in failed] == [("sphere 3", "t1", 0)]
    assert np.isnan(failed[0].mean)


def test_another_phantom_is_refused(rng):
    maps, valid = placed_maps("brain", 0.0, Pose(0, 0, 0), rng)
    with pytest.raises(ScanError, match=r"was not found in the slice.*is it another phantom"):
        accept_maps(scan_of((maps, valid)), nist_layouts(), 3.0)


def test_a_phantom_larger_than_the_picture_is_not_found(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    wide = replace(T1_ARRAY, vials=tuple(replace(v, x_mm=4 * v.x_mm, y_mm=4 * v.y_mm) for v in T1_ARRAY.vials))
    with pytest.raises(ScanError, match=r"was not found in the slice: .* is 0.00 where it is best"):
        accept_maps(scan_of((maps, valid)), (wide,), 3.0)


def test_a_layout_that_fits_in_two_ways_is_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    # two vials of equal value, and one in the middle of them: exchanged, they fit as well
    ends = [replace(T1_ARRAY.vials[n], reference={"t1": 700.0}) for n in (3, 8)]
    middle = replace(T1_ARRAY.vials[0], x_mm=0.0, y_mm=0.0, reference={"t1": 2700.0})
    for vial, value in ((ends[0], 700.0), (ends[1], 700.0), (middle, 2700.0)):
        inside = region((vial.x_mm, vial.y_mm), 10.0, PixelGrid(96, 96, (2.5, 2.5)))
        maps["t1"][inside] = value
    layout = replace(T1_ARRAY, vials=(*ends, middle))
    with pytest.raises(ScanError, match="can lie in two ways in slice 1"):
        accept_maps(scan_of((maps, valid)), (layout,), 3.0)


def test_arrays_that_look_alike_are_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    twin = replace(T1_ARRAY, title="its twin")
    with pytest.raises(ScanError, match=r"Slice 1 can be T1 array .* or its twin, which look alike"):
        accept_maps(scan_of((maps, valid)), (T1_ARRAY, twin), 3.0)


def test_reference_values_of_another_field_are_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    with pytest.raises(InputError, match=r"hold from 2.8 to 3.2 T, and this scan was made at 1.5 T"):
        accept_maps(scan_of((maps, valid)), nist_layouts(), 1.5)


def test_maps_without_reference_values_are_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    with pytest.raises(InputError, match=r"The scan has maps of t1, t2, and 90 squares .* reference values of b1"):
        accept_maps(scan_of((maps, valid)), (squares_layout(draw_subject("patients", 0)),), 3.0)


def test_vials_of_one_value_are_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng)
    layout = replace(T1_ARRAY, vials=tuple(replace(vial, reference={"t1": 800.0}) for vial in T1_ARRAY.vials))
    with pytest.raises(InputError, match=r"at least 3 vials need a reference value .* these must differ"):
        accept_maps(scan_of((maps, valid)), (layout,), 3.0)


def test_pixels_as_large_as_the_vials_are_refused(rng):
    maps, valid = placed_maps("nist", 0.5, Pose(0, 0, 0), rng, matrix=48)
    with pytest.raises(
        ScanError, match=r"Sphere 1 is 15 mm wide, and pixels of 5 mm leave too few .* with pixels of 3.3 mm or smaller"
    ):
        accept_maps(scan_of((maps, valid)), nist_layouts(), 3.0)


def test_empty_maps_are_refused():
    empty = {name: np.zeros((96, 96), np.float32) for name in ("t1", "t2")}
    with pytest.raises(ScanError, match="The maps are empty"):
        accept_maps(scan_of((empty, {name: values > 0 for name, values in empty.items()})), nist_layouts(), 3.0)
