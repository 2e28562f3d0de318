"""Delay correction: spokes are moved to where they were sampled, or are passed on unchanged."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from delayed_spokes import OVERSAMPLING, delayed
from small_scan import complex_normal

from spokestream.gadgets.delay_correction import DelayCorrection
from spokestream.gadgets.messages import NOWHERE, SliceEnd
from spokestream.simulator.physics.sequences.loading import load_sequence


@pytest.fixture
def scan(scan):
    header = replace(scan.header, recon_fov_mm=(300.0, 300.0, 8.0))
    return replace(scan, header=header, sequence=load_sequence("t1ff-2d-1400"))


def run(gadget, frames, number=0):
    """The frames of a slice as they are passed on, and the number of frames that had come before each."""
    passed, after = [], []
    for n, frame in enumerate(frames, start=1):
        for message in gadget.feed(frame):
            passed.append(message)
            after.append(n)
    rest = list(gadget.feed(SliceEnd(number, NOWHERE)))
    assert rest[-1] == SliceEnd(number, NOWHERE)
    return passed + rest[:-1], after


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_all_spokes_of_the_slice_are_moved_to_where_they_were_sampled(scan, caplog):
    frames, actual = delayed((0.5, -0.4, 0.1), n_spokes=400, noise=1e-3)
    passed, after = run(DelayCorrection(scan), frames)
    assert [frame.frame for frame in passed] == list(range(50))
    assert after == [25] * 25 + list(range(26, 51))  # the first 200 spokes wait, the others do not
    for before, frame in zip(frames, passed, strict=True):
        np.testing.assert_allclose(frame.k, actual[frame.indices], rtol=0, atol=0.01 / OVERSAMPLING)
        assert frame.radii.shape == frame.k.shape[:2]
        assert frame.data is before.data
        assert frame.density is None
    assert scan.provenance["gradient_delays"] == "corrected"
    x, y, coupling = (float(part.split()[1]) for part in scan.provenance["gradient_delays_samples"].split(", "))
    np.testing.assert_allclose((x, y, coupling), (0.5, -0.4, 0.1), rtol=0, atol=0.01)
    assert warnings(caplog) == []
    assert scan.integrity.counts(0) == {}


def test_spokes_without_delays_are_the_same_objects(scan, caplog):
    frames, _ = delayed((0.0, 0.0, 0.0), n_spokes=240, noise=1e-3)
    passed, _ = run(DelayCorrection(scan), frames)
    assert len(passed) == 30
    assert all(a is b for a, b in zip(passed, frames, strict=True))
    assert scan.provenance["gradient_delays"] == "none found"
    assert warnings(caplog) == []


def test_delays_below_the_threshold_are_left(scan):
    frames, _ = delayed((0.012, -0.012, 0.0), n_spokes=240, noise=1e-4)
    passed, _ = run(DelayCorrection(scan), frames)
    assert all(a is b for a, b in zip(passed, frames, strict=True))


def test_every_slice_has_its_own_delays(scan):
    gadget = DelayCorrection(scan)
    for number, delays in enumerate([(0.4, 0.4, 0.0), (0.0, 0.0, 0.0), (-0.3, 0.2, 0.0)]):
        frames, actual = delayed(delays, n_spokes=208, noise=1e-3, number=number)
        passed, _ = run(gadget, frames, number)
        for frame in passed:
            np.testing.assert_allclose(frame.k, actual[frame.indices], rtol=0, atol=0.02 / OVERSAMPLING)


def test_a_slice_of_few_spokes_is_passed_on_unchanged_at_its_end(scan):
    frames, _ = delayed((0.5, 0.5, 0.0), n_spokes=96, noise=1e-3)
    passed, after = run(DelayCorrection(scan), frames)
    assert after == []
    assert all(a is b for a, b in zip(passed, frames, strict=True))
    assert scan.provenance["gradient_delays"] == "not estimated: too few spokes"


def test_arms_are_passed_on_at_once(scan):
    frames = [replace(f, density=np.ones(f.k.shape[:2], np.float32)) for f in delayed((0.5, 0.5, 0), n_spokes=16)[0]]
    gadget = DelayCorrection(scan)
    assert [list(gadget.feed(frame)) for frame in frames] == [[frame] for frame in frames]


def test_delays_that_cannot_be_certain_are_warned_of_and_not_corrected(scan, caplog, rng):
    """Every spoke has another phase, so that spokes never agree where they cross."""
    frames, _ = delayed((1.5, 1.5, 0.0), n_spokes=208)
    phase = [np.exp(1j * rng.uniform(-0.3, 0.3, (1, 8, 1))) for _ in frames]
    frames = [replace(f, data=(f.data * p).astype(np.complex64)) for f, p in zip(frames, phase, strict=True)]
    passed, _ = run(DelayCorrection(scan), frames)
    assert all(a is b for a, b in zip(passed, frames, strict=True))
    assert scan.provenance["gradient_delays"] == "uncertain, not corrected"
    (warning,) = warnings(caplog)
    assert "seem to be delayed" in warning
    assert "not corrected" in warning


def test_noise_is_neither_corrected_nor_warned_of(scan, caplog, rng):
    frames = [replace(f, data=complex_normal(rng, *f.data.shape)) for f in delayed((0, 0, 0), n_spokes=208)[0]]
    passed, _ = run(DelayCorrection(scan), frames)
    assert all(a is b for a, b in zip(passed, frames, strict=True))
    assert warnings(caplog) == []
