"""The geometry of readouts: center, oversampling and unit against the header."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from readout_stream import readout, readouts, run

from spokestream.errors import ScanError
from spokestream.gadgets.discarded_samples import DiscardedSamples
from spokestream.gadgets.readouts.oversampling import restore_oversampling
from spokestream.gadgets.readouts.trajectory_units import units_of
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes


def a_scan(sequence, encoded=48, encoded_fov=480.0, recon=24, recon_fov=240.0):
    header = ScanHeader(
        "", (encoded, encoded, 1), (encoded_fov, encoded_fov, 8.0), (recon, recon, 1), (recon_fov, recon_fov, 8.0)
    )
    return ScanContext(header, sequence, threads=1, log=logging.getLogger("test"))


EMBEDDED = [None, 0.5]


@pytest.mark.parametrize("spacing", EMBEDDED)
def test_a_header_at_base_resolution_gives_the_same_positions_and_a_warning(sequence, rng, caplog, spacing):
    scan = a_scan(sequence, encoded=24, encoded_fov=240.0)
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, readouts(rng, samples=48, center=24, spacing=spacing))
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 48, 24, 2.0), atol=1e-5)
    assert caplog.text.count("does not count their twofold oversampling") == 1


@pytest.mark.parametrize("spacing", [None, 1.0])
def test_oversampling_that_was_removed_is_restored(sequence, rng, caplog, spacing):
    received = readouts(rng, samples=24, center=12, spacing=spacing)
    for one in received:
        one.sample_time_us = 4.0
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(a_scan(sequence), received)
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 47, 24, 2.0), atol=1e-5)
    np.testing.assert_array_equal(spokes[5].time_us, 2.0 * (np.arange(47) - 24))
    assert caplog.text.count("oversampling was removed before") == 1


@pytest.mark.parametrize("center", [12, 9])
def test_restored_samples_are_those_of_an_object_inside_the_field_of_view(rng, center):
    x, density = np.linspace(-0.4, 0.4, 9), rng.standard_normal(9)
    exact = lambda k: (np.exp(-2j * np.pi * np.outer(k, x)) @ (density * np.exp(-20 * x**2)))[None]  # noqa: E731
    k = np.arange(24) - center
    spoke = np.column_stack([k, 0 * k]).astype(np.float32)
    data, fine = restore_oversampling(exact(k).astype(np.complex64), spoke, center)
    np.testing.assert_allclose(fine[:, 0], np.arange(47) / 2 - center, atol=1e-6)
    np.testing.assert_allclose(data[:, ::2], exact(k), atol=1e-5)
    middle = slice(12, 35)  # truncated readouts ring at their ends
    np.testing.assert_allclose(data[:, middle], exact(fine[middle, 0]), atol=0.05 * np.abs(exact(k)).max())


@pytest.mark.parametrize("samples", [30, 36, 70, 150])
def test_other_numbers_of_samples_are_refused(sequence, rng, samples):
    with pytest.raises(ScanError, match=f"Readouts have {samples} samples .* encodedSpace has 48"):
        run(a_scan(sequence), readouts(rng, samples=samples, center=samples // 2))


def test_a_matrix_interpolated_by_the_converter_keeps_the_positions(sequence, rng):
    spokes, _ = run(a_scan(sequence, recon=48), readouts(rng, samples=48, center=24))
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 48, 24, 2.0), atol=1e-5)


def test_an_encoded_matrix_without_its_field_of_view_is_refused_unless_the_trajectory_tells(sequence, rng, caplog):
    scan = a_scan(sequence, encoded_fov=240.0)
    with pytest.raises(ScanError, match="reach 24 cycles per field of view, the recon matrix 12"):
        run(scan, readouts(rng, samples=48, center=24))
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, readouts(rng, samples=48, center=24, spacing=0.5, scale=1 / 24))
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 48, 24, 2.0), atol=1e-5)
    assert "encodedSpace does not agree" in caplog.text


@pytest.mark.parametrize("unit", units_of(ScanHeader("", (48, 48, 1), (480, 480, 8), (24, 24, 1), (240, 240, 8))))
def test_every_unit_gives_the_same_positions(sequence, rng, unit):
    scan = a_scan(sequence)
    factor = units_of(scan.header)[unit][0]
    spokes, _ = run(scan, readouts(rng, samples=48, center=24, spacing=0.5, scale=1 / factor))
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 48, 24, 2.0), atol=1e-4)


@pytest.mark.parametrize("spacing", EMBEDDED)
def test_a_center_that_was_never_set_is_found(sequence, rng, caplog, spacing):
    stream = readouts(rng, samples=48, center=24, spacing=spacing, dc=100)
    for r in stream:
        r.center_sample = 0
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(a_scan(sequence), stream, demodulation_hz=0.0)
    assert not spokes[5].k[24].any()
    assert caplog.text.count("center_sample is 0") == 1


def test_a_center_that_cannot_be_found_is_refused(sequence, rng):
    stream = readouts(rng, samples=48, center=10, dc=100)
    for r in stream:
        r.center_sample = 0
    with pytest.raises(ScanError, match="center_sample is 0, but the strongest of the 48 samples is number 10"):
        run(a_scan(sequence), stream)


@pytest.mark.parametrize("spacing", EMBEDDED)
def test_spokes_from_the_centre_outwards_are_refused(sequence, rng, spacing):
    with pytest.raises(ScanError, match="too asymmetric: 0 samples lie on one side of k = 0, 23 on the other"):
        run(a_scan(sequence), readouts(rng, samples=24, center=0, spacing=spacing, dc=100))


def test_samples_beyond_the_k_space_of_the_recon_matrix_are_cut_off(sequence, rng):
    spokes, _ = run(a_scan(sequence), readouts(rng, samples=48, center=18))
    assert spokes[0].data.shape == (3, 18 + 1 + 25)  # the edge is 24 samples away, and one more is kept
    assert np.hypot(*spokes[0].k.T).max() == pytest.approx(12.5)


@pytest.mark.parametrize("embedded", [False, True])
def test_discarded_samples_are_cut_off_with_their_trajectory(sequence, rng, embedded):
    scan = a_scan(sequence)
    plain = readouts(rng, samples=48, center=24, spacing=0.5 if embedded else None)
    junk = np.full((3, 5), 1e6, np.complex64)
    longer = []
    for i, r in enumerate(plain):
        k = np.pad(r.traj, ((5, 3), (0, 0)), mode="edge") if embedded else None
        data = np.concatenate([junk, r.data, junk[:, :3]], axis=1)
        longer.append(readout(data, i, 29, k, discard_pre=5, discard_post=3))
    gadget = DiscardedSamples(scan)
    cut = [m for r in longer for m in gadget.feed(r)]
    expected, _ = run(a_scan(sequence), plain)
    found, _ = run(scan, cut)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.k, b.k)
    assert scan.provenance["discarded_samples"] == "5 before, 3 after"


def test_a_readout_of_which_all_is_discarded_is_left_out(sequence, rng):
    scan, stream = a_scan(sequence), readouts(rng, samples=48, center=24)
    stream[7].discard_pre = 40000
    gadget = DiscardedSamples(scan)
    spokes, _ = run(scan, [m for r in stream for m in gadget.feed(r)])
    assert len(spokes) == 79
    assert scan.integrity.counts(0) == {"changed_shape": 1, "missing": 1}


def test_an_asymmetric_echo_keeps_its_samples(sequence, rng, caplog):
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(replace(a_scan(sequence)), readouts(rng, samples=40, center=16))
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 40, 16, 2.0), atol=1e-5)
    assert "The echo is asymmetric: 16 samples lie on one side of k = 0, 23 on the other" in caplog.text


def test_a_center_far_from_the_strongest_sample_gives_a_warning(sequence, rng, caplog):
    with caplog.at_level(logging.WARNING):
        run(a_scan(sequence), readouts(rng, samples=48, center=24, dc=100))
        assert caplog.text == ""
        stream = readouts(rng, samples=48, center=24, dc=100)
        for r in stream:
            r.center_sample = 19
        run(a_scan(sequence), stream)
    assert caplog.text.count("center_sample is 19, but the strongest sample of the first spoke is number 24") == 1


@pytest.mark.parametrize("dwell_us", [2e-6, 2000.0])
def test_a_dwell_time_in_another_unit_is_refused(sequence, rng, dwell_us):
    stream = readouts(rng, samples=48, center=24)
    for r in stream:
        r.sample_time_us = dwell_us
    with pytest.raises(ScanError, match=r"sample_time_us is .* is it in another unit"):
        run(a_scan(sequence), stream)


@pytest.mark.parametrize("dwell_us", [0.0, 2.0])
def test_a_dwell_time_that_was_never_set_gives_a_warning(sequence, rng, caplog, dwell_us):
    stream = readouts(rng, samples=48, center=24)
    for r in stream:
        r.sample_time_us = dwell_us
    with caplog.at_level(logging.WARNING):
        run(a_scan(sequence), stream, demodulation_hz=200.0)
    assert caplog.text.count("sample_time_us is 0, which was never filled in") == (dwell_us == 0)


def test_a_length_that_the_header_does_not_explain_gives_a_warning_unless_the_trajectory_tells(sequence, rng, caplog):
    with caplog.at_level(logging.WARNING):
        run(a_scan(sequence), readouts(rng, samples=58, center=29, spacing=0.5))
    assert "if they cover its k-space instead" not in caplog.text
    for samples, warned in ((49, False), (58, True), (42, True)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            run(a_scan(sequence), readouts(rng, samples=samples, center=samples // 2))
        assert ("if they cover its k-space instead, the maps are wrong" in caplog.text) == warned


@pytest.mark.parametrize("unit", ["cycles per recon pixel", "cycles per encoded pixel"])
def test_an_exact_unit_is_preferred_to_a_documented_one_that_is_6_percent_off(sequence, rng, caplog, unit):
    scan = a_scan(sequence, encoded=128, encoded_fov=480.0, recon=68)
    factor = units_of(scan.header)[unit][0]
    spokes, _ = run(scan, readouts(rng, samples=128, center=64, spacing=0.5, scale=1 / factor))
    assert scan.provenance["trajectory_unit"] == unit
    assert ("if it is in cycles per recon pixel, which differs by 6 %" in caplog.text) == ("encoded" in unit)
    np.testing.assert_allclose(spokes[5].k, radial_spokes(golden_angles(5), 128, 64, 2.0), atol=1e-4)
