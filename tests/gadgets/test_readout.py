"""Readout: the source of the trajectory, and all irregularities of a slice."""

import logging
from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.messages import SliceEnd, Spoke
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.readouts.demodulation import demodulate
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

N_SAMPLES, CENTER = 38, 17  # k = 0 need not lie in the middle


@pytest.fixture
def readouts(rng, sequence):
    """The readouts of one slice without embedded trajectory."""
    out = []
    for i in range(len(sequence)):
        acquisition = ismrmrd.Acquisition.from_array(complex_normal(rng, 3, N_SAMPLES))
        acquisition.center_sample = CENTER
        acquisition.scan_counter = i
        acquisition.idx.kspace_encode_step_1 = i
        acquisition.position[:] = (1.0, 2.0, 3.0)
        out.append(acquisition)
    out[-1].set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    return out


PER_FOV = np.array([1, 23 / 19])  # pixels are square, fields of view are not: cycles of x and of y differ


def spoke_k(angle):
    return radial_spokes(angle, N_SAMPLES, CENTER, 2.0) * PER_FOV


def run(scan, readouts, **settings):
    gadget = Readout(scan, **settings)
    messages = [m for readout in readouts for m in gadget.feed(readout)]
    messages += gadget.finish()
    return [m for m in messages if isinstance(m, Spoke)], [m for m in messages if isinstance(m, SliceEnd)]


def embed(readout, trajectory):
    return ismrmrd.Acquisition(
        _with_dimensions(readout, trajectory.shape[1]), readout.data, trajectory.astype(np.float32)
    )


def _with_dimensions(readout, n):
    head = readout.getHead()
    head.trajectory_dimensions = n
    return head


def test_golden_angle_from_the_index_with_center_sample_and_oversampling(scan, readouts):
    spokes, (end,) = run(scan, readouts)
    expected = spoke_k(golden_angles(5))
    np.testing.assert_allclose(spokes[5].k, expected, atol=1e-5)
    assert not spokes[5].k[CENTER].any()
    assert scan.integrity.counts(0) == {}
    assert end.geometry.position_mm == (1.0, 2.0, 3.0)
    assert scan.provenance["trajectory"].startswith("golden angle")


@pytest.mark.parametrize("scale", [np.array([1 / 19, 1 / 23]), 1.0])
def test_embedded_trajectory_in_either_unit(scan, readouts, scale):
    k = [spoke_k(golden_angles(i)) for i in range(len(readouts))]
    embedded = [embed(r, np.column_stack([x * scale, np.ones(N_SAMPLES)])) for r, x in zip(readouts, k, strict=True)]
    spokes, _ = run(scan, embedded)
    np.testing.assert_allclose(spokes[3].k, k[3], atol=1e-4)
    assert scan.provenance["trajectory"] == "embedded"


def test_embedded_trajectory_of_unknown_unit_is_refused_with_the_range_found(scan, readouts):
    k = [spoke_k(golden_angles(i)) for i in range(len(readouts))]
    with pytest.raises(
        ScanError, match=r"reaches 7\.242.*fits none of the known units.*0\.5263 in cycles per recon pixel"
    ):
        run(scan, [embed(r, x * 0.7) for r, x in zip(readouts, k, strict=True)])


def test_a_trajectory_that_is_not_finite_is_left_out(scan, readouts):
    readouts[4].user_float[0] = np.nan
    for i, readout in enumerate(readouts):
        if i != 4:
            readout.user_float[0] = i
    spokes, _ = run(scan, readouts, trajectory="angle")
    assert len(spokes) == len(readouts) - 1
    assert scan.integrity.counts(0) == {"damaged_trajectory": 1, "missing": 1}


def test_a_difference_between_embedded_and_computed_gives_a_warning(scan, readouts, caplog):
    turned = [embed(r, spoke_k(golden_angles(i) + 0.2) / [19, 23]) for i, r in enumerate(readouts)]
    with caplog.at_level(logging.WARNING):
        run(scan, turned)
    assert "differs from golden-angle spokes" in caplog.text


def test_angles_in_user_float(scan, readouts):
    for i, readout in enumerate(readouts):
        readout.user_float[0] = 0.1 * i
    spokes, _ = run(scan, readouts, trajectory="angle")
    np.testing.assert_allclose(spokes[7].k, spoke_k(0.7), atol=1e-5)


def test_readouts_that_are_no_spokes_are_left_out(scan, readouts):
    for i, flag in enumerate(
        (ismrmrd.ACQ_IS_PHASECORR_DATA, ismrmrd.ACQ_IS_NAVIGATION_DATA, ismrmrd.ACQ_IS_DUMMYSCAN_DATA)
    ):
        readouts[i].set_flag(flag)
    spokes, (end,) = run(scan, readouts)
    assert len(spokes) == len(readouts) - 3
    assert scan.integrity.counts(end.slice) == {"missing": 3}


def damage(readouts, what):
    if what == "missing":
        del readouts[10:12]
    elif what == "duplicate":
        readouts.insert(11, readouts[10])
    elif what == "out_of_order":
        readouts[20], readouts[21] = readouts[21], readouts[20]
    elif what == "not_finite":
        readouts[30].data[1, 4] = np.nan
    elif what == "changed_shape":
        readouts[30] = ismrmrd.Acquisition.from_array(readouts[30].data[:, :-1])
        readouts[30].idx.kspace_encode_step_1 = 30
        readouts[30].scan_counter = 30


EXPECTED = {
    "missing": {"counter_gaps": 1, "missing": 2},
    "duplicate": {"duplicate": 1},
    "out_of_order": {"counter_gaps": 2, "out_of_order": 1},
    "not_finite": {"missing": 1, "not_finite": 1},
    "changed_shape": {"changed_shape": 1, "missing": 1},
}


@pytest.mark.parametrize("what", EXPECTED)
def test_irregular_spokes_are_counted_and_logged(scan, readouts, caplog, what):
    damage(readouts, what)
    with caplog.at_level(logging.WARNING):
        spokes, (end,) = run(scan, readouts)
    counts = scan.integrity.counts(end.slice)
    assert counts == EXPECTED[what]
    assert "irregular spokes" in caplog.text
    assert len({s.index for s in spokes}) == len(spokes) == len(scan.sequence) - counts.get("missing", 0)


@pytest.mark.parametrize("what", EXPECTED)
def test_strict_refuses_them_in_a_sentence(scan, readouts, what):
    damage(readouts, what)
    with pytest.raises(ScanError, match=r"^Slice 1: .* strict\.$"):
        run(replace(scan, integrity=IntegrityLedger(strict=True)), readouts)


def test_too_many_missing_spokes_are_refused(scan, readouts):
    with pytest.raises(ScanError, match=r"9 of 80 spokes are missing or damaged .* more than the 10%"):
        run(scan, readouts[:60] + readouts[69:])


def test_a_slice_ends_when_all_spokes_are_there_or_another_begins(scan, readouts):
    readouts[-1].clearAllFlags()
    second = [ismrmrd.Acquisition(r.getHead(), r.data) for r in readouts]
    for readout in second:
        readout.idx.slice = 4
    gadget = Readout(scan)
    ends = [
        (i, m.slice) for i, r in enumerate(readouts[:-2] + second) for m in gadget.feed(r) if isinstance(m, SliceEnd)
    ]
    assert ends == [(78, 0), (78 + 79, 4)]
    late = list(gadget.feed(readouts[-1]))
    assert late == []


def test_a_spoke_outside_the_train_is_refused(scan, readouts):
    readouts[4].idx.kspace_encode_step_1 = 4000
    with pytest.raises(ScanError, match="Spoke 4000 lies outside"):
        run(scan, readouts)


def test_a_center_outside_the_readout_is_refused(scan, readouts):
    for readout in readouts:
        readout.center_sample = 40
    with pytest.raises(ScanError, match="center_sample 40"):
        run(scan, readouts)


def test_an_empty_scan_is_refused(scan):
    with pytest.raises(ScanError, match="no spokes"):
        run(scan, [])


def test_demodulation_stops_a_spin_of_that_frequency_and_leaves_the_centre(rng):
    time_s = (np.arange(N_SAMPLES) - CENTER) * 2e-6
    still = complex_normal(rng, 3, 1)
    running = still * np.exp(-2j * np.pi * 400 * time_s)  # phase accrues as exp(-2 pi i f t)
    out = demodulate(running.astype(np.complex64), 400.0, 2.0, CENTER)
    np.testing.assert_allclose(out, np.broadcast_to(still, out.shape), rtol=1e-5)
    half = demodulate(running.astype(np.complex64), 200.0, 2.0, CENTER)
    np.testing.assert_allclose(half[:, CENTER], still[:, 0], rtol=1e-6)
    np.testing.assert_allclose(np.angle(half[0, -1] / still[0, 0]), -2 * np.pi * 200 * time_s[-1], rtol=1e-4)


def test_values_that_would_overflow_are_left_out(scan, readouts):
    readouts[30].data[0, 0] = 1e35
    _, (end,) = run(scan, readouts)
    assert scan.integrity.counts(end.slice) == {"missing": 1, "not_finite": 1}


def test_a_dwell_time_that_is_no_number_is_refused(scan, readouts):
    readouts[3].sample_time_us = np.nan
    with pytest.raises(ScanError, match="nan us apart"):
        run(scan, readouts)
