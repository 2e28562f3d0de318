"""Positions and directions of slices that were not filled in."""

import logging
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest

from spokestream.gadgets.readouts.orientation import SliceOrientation


def first(number=0, directions=None, position=(0, 0, 0)):
    readout = ismrmrd.Acquisition.from_array(np.ones((1, 4), np.complex64))
    readout.idx.slice = number
    readout.position[:] = position
    if directions is not None:
        readout.read_dir[:], readout.phase_dir[:], readout.slice_dir[:] = directions
    return readout


def axes(geometry):
    return np.array([geometry.read_dir, geometry.phase_dir, geometry.slice_dir])


@pytest.fixture
def of(scan, caplog):
    caplog.set_level(logging.WARNING)

    def orientation(*readouts, n_slices=1):
        gadget = SliceOrientation(replace(scan, header=replace(scan.header, n_slices=n_slices)))
        return [gadget.of(readout) for readout in readouts]

    return orientation


def test_what_was_never_filled_in_is_the_patients_axes_with_one_warning(of, caplog):
    found = of(first(0), first(1), first(2), n_slices=3)
    for geometry in found:
        np.testing.assert_array_equal(axes(geometry), np.eye(3))
    assert [geometry.position_mm[2] for geometry in found] == [-8, 0, 8]  # the slices are 8 mm thick
    assert caplog.text.count("never filled in") == caplog.text.count("one slice thickness apart") == 1


def test_right_directions_stay_as_they_are(of, caplog):
    tilted = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0].astype(np.float32)
    (geometry,) = of(first(directions=tilted, position=(1, 2, 3)))
    np.testing.assert_array_equal(axes(geometry), tilted)
    assert geometry.position_mm == (1, 2, 3)
    assert caplog.text == ""


@pytest.mark.parametrize("skew", [0.0, 0.05])
def test_other_lengths_and_angles_are_corrected(of, caplog, skew):
    directions = np.diag([2.0, 0.5, 1.0])
    directions[1, 0] = skew
    found = axes(of(first(directions=directions))[0])
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(found, np.eye(3), atol=skew + 1e-6)
    assert "not orthogonal unit vectors" in caplog.text


def test_a_missing_slice_direction_is_the_cross_product(of):
    (geometry,) = of(first(directions=[(0, 1, 0), (0, 0, 1), (0, 0, 0)]))
    np.testing.assert_allclose(geometry.slice_dir, (1, 0, 0), atol=1e-6)


@pytest.mark.parametrize("directions", [[(1, 0, 0)] * 3, [(np.nan, 0, 0), (0, 1, 0), (0, 0, 1)]])
def test_directions_that_span_no_space_are_the_patients_axes(of, caplog, directions):
    np.testing.assert_array_equal(axes(of(first(directions=directions))[0]), np.eye(3))
    assert "do not span space" in caplog.text


def test_slices_at_one_place_give_a_warning(of, caplog):
    of(first(0, np.eye(3)), first(1, np.eye(3)), n_slices=2)
    assert "Several slices have the same position" in caplog.text


def test_a_position_that_is_not_finite_is_the_isocentre(of, caplog):
    assert of(first(directions=np.eye(3), position=(np.nan, 0, 0)))[0].position_mm == (0, 0, 0)
    assert "not finite" in caplog.text
