"""Embedded trajectories that contradict each other, the header, or a radial scan."""

import logging
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from readout_stream import readout, readouts, run
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

SAMPLES, CENTER = 48, 24


@pytest.fixture
def scan(scan):
    """A scan of square pixels and 24 of them, with twofold oversampling."""
    header = ScanHeader("", (48, 48, 1), (480.0, 480.0, 8.0), (24, 24, 1), (240.0, 240.0, 8.0))
    return replace(scan, header=header)


@pytest.fixture
def stream(rng):
    return readouts(rng, samples=SAMPLES, center=CENTER, spacing=0.5, scale=1 / 24)


def bare(r):
    """The readout without trajectory."""
    head = r.getHead()
    head.trajectory_dimensions = 0
    return ismrmrd.Acquisition(head, r.data)


def with_column(r, values):
    head = r.getHead()
    head.trajectory_dimensions = 3
    return ismrmrd.Acquisition(head, r.data, np.column_stack([r.traj, values]).astype(np.float32))


def backwards(r):
    out = ismrmrd.Acquisition(r.getHead(), r.data[:, ::-1].copy(), r.traj[::-1].copy())
    out.center_sample = SAMPLES - 1 - CENTER
    return out


def test_readouts_without_trajectory_follow_the_golden_angle_like_the_others(scan, stream, caplog):
    some = [bare(r) if i % 10 == 3 else r for i, r in enumerate(stream)]
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, some)
    for i in (2, 3):
        np.testing.assert_allclose(spokes[i].k, radial_spokes(golden_angles(i), SAMPLES, CENTER, 2.0), atol=1e-4)
    assert caplog.text.count("Some readouts have no embedded trajectory") == 1
    assert scan.integrity.counts(0) == {}


def test_they_run_backwards_like_the_others(scan, stream):
    spokes, _ = run(scan, [bare(backwards(r)) if i % 10 == 3 else backwards(r) for i, r in enumerate(stream)])
    expected = radial_spokes(golden_angles(3), SAMPLES, CENTER, 2.0)[::-1]
    np.testing.assert_allclose(spokes[3].k, expected, atol=1e-4)


def test_they_are_left_out_if_the_others_do_not_follow_the_golden_angle(scan, rng):
    stream = []
    for i in range(80):
        k = radial_spokes(np.pi * i / 80, SAMPLES, CENTER, 2.0) / 24
        stream.append(readout(complex_normal(rng, 3, SAMPLES), i, CENTER, k))
    spokes, _ = run(scan, [bare(r) if i in (40, 50) else r for i, r in enumerate(stream)])
    assert {s.index for s in spokes} == set(range(80)) - {40, 50}
    assert scan.integrity.counts(0) == {"damaged_trajectory": 2, "missing": 2}


def test_embedded_trajectories_that_come_late_and_differ_are_refused(scan, rng):
    stream = []
    for i in range(80):
        k = radial_spokes(golden_angles(i) + 0.5, SAMPLES, CENTER, 2.0) / 24
        stream.append(readout(complex_normal(rng, 3, SAMPLES), i, CENTER, k if i > 4 else None))
    with pytest.raises(ScanError, match="spoke 5 has a trajectory of another direction"):
        run(scan, stream)


def test_a_trajectory_that_was_never_filled_in_is_refused(scan, stream):
    for r in stream:
        r.traj[:] = 0
    with pytest.raises(ScanError, match="zero everywhere, so it was never filled in"):
        run(scan, stream)


@pytest.mark.parametrize("index", [0, 30])
@pytest.mark.parametrize("sample", [0, 11, SAMPLES - 1])
@pytest.mark.parametrize("value", [1e9, np.nan, -np.inf, 0.9])
def test_an_absurd_coordinate_leaves_its_spoke_out(scan, stream, index, sample, value):
    stream[index].traj[sample, 1] = value
    with np.errstate(all="ignore"):
        spokes, _ = run(scan, stream)
    assert {s.index for s in spokes} == set(range(80)) - {index}
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


def test_spokes_of_another_extent_are_left_out(scan, stream):
    stream[30].traj[:] *= 0.8
    run(scan, stream)
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


def test_lines_that_do_not_pass_the_centre_are_refused(scan, rng):
    stream = []
    for i in range(80):
        k = np.column_stack([np.linspace(-0.5, 0.5, SAMPLES), np.full(SAMPLES, i / 80 - 0.5)])
        stream.append(readout(complex_normal(rng, 3, SAMPLES), i, CENTER, k))
    with pytest.raises(ScanError, match="no evenly sampled straight line through k = 0"):
        run(scan, stream)


@pytest.mark.parametrize("name", ["cartesian", "spiral", ""])
def test_the_embedded_trajectory_decides_whatever_the_header_calls_it(scan, stream, caplog, name):
    scan = replace(scan, header=replace(scan.header, trajectory=name))
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, stream)
    assert len(spokes) == 80
    assert f"trajectory is '{name or 'unknown'}', but the spokes are radial, as the embedded" in caplog.text
    with pytest.raises(ScanError, match=f"trajectory is '{name or 'unknown'}', but the readouts have no embedded"):
        run(scan, [bare(r) for r in stream])


def density(k):
    return np.hypot(k[:, 0], k[:, 1])


@pytest.mark.parametrize("column", [density, lambda k: np.full(len(k), 0.3), lambda k: 0 * k[:, 0]])
def test_a_density_or_one_constant_kz_changes_nothing(scan, stream, column):
    expected, _ = run(replace(scan, provenance={}), stream)
    found, _ = run(scan, [with_column(r, column(r.traj)) for r in stream])
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a.k, b.k)


@pytest.mark.parametrize(
    "column", [lambda k, i: 0.3 * k[:, 1], lambda k, i: 0.5 + k[:, 0], lambda k, i: k[:, 0] * 0 + i]
)
def test_kz_is_refused(scan, stream, column):
    with pytest.raises(ScanError, match="kz of a 3-D scan"):
        run(scan, [with_column(r, column(r.traj, i)) for i, r in enumerate(stream)])


def test_a_center_that_changes_leaves_the_spoke_out(scan, stream):
    stream = [bare(r) for r in stream]
    stream[9].center_sample = 20
    run(scan, stream)
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


@pytest.mark.parametrize(
    ("angle", "sentence"),
    [
        (lambda i: 0.0, "no spoke lies in a range of 180 degrees; the angles in user_float"),
        (lambda i: i * 111.246117975 % 360, "golden angles in degrees"),
    ],
)
def test_angles_that_are_wrong_are_refused(scan, stream, angle, sentence):
    for i, r in enumerate(stream):
        r.user_float[0] = angle(i)
    with pytest.raises(ScanError, match=sentence):
        run(scan, stream, trajectory="angle")


@pytest.mark.parametrize("columns", [1, 4])
def test_a_trajectory_of_other_columns_is_refused_unless_it_is_empty(scan, stream, columns):
    def embedded(filled):
        out = []
        for r in stream:
            k = np.zeros((r.number_of_samples, columns), np.float32)
            k[:, : min(2, columns)] = filled * r.traj[:, : min(2, columns)]
            head = r.getHead()
            head.trajectory_dimensions = columns
            out.append(ismrmrd.Acquisition(head, r.data, k))
        return out

    with pytest.raises(ScanError, match=rf"The embedded trajectory has {columns} column"):
        run(scan, embedded(1))
    spokes, _ = run(scan, embedded(0))
    assert len(spokes) == 80
