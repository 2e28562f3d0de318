"""Noise whitening: white noise from a good noise scan, and no harm from a bad one."""

import logging

import ismrmrd
import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.messages import LeftOut
from spokestream.gadgets.noise_whitening import NoiseWhitening


def readout(data, noise=False, dwell_us=2.0):
    acquisition = ismrmrd.Acquisition.from_array(np.asarray(data, np.complex64))
    acquisition.sample_time_us = dwell_us
    if noise:
        acquisition.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    return acquisition


def correlated(rng, n_coils, n_samples):
    mix = complex_normal(rng, n_coils, n_coils) + 2 * np.eye(n_coils)
    return mix.astype(np.complex64) @ complex_normal(rng, n_coils, n_samples) / np.float32(np.sqrt(2))


def whitened(scan, noise, *spokes):
    """The samples of the spokes after a noise readout."""
    gadget = NoiseWhitening(scan)
    assert list(gadget.feed(readout(noise, noise=True))) == [LeftOut(0)]
    return [message.data for spoke in spokes for message in gadget.feed(readout(spoke))]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_whitened_noise_has_unit_covariance(scan, rng, caplog):
    samples = correlated(rng, 5, 40000)
    (out,) = whitened(scan, samples[:, :20000], samples[:, 20000:])
    np.testing.assert_allclose(out @ out.conj().T / 20000, np.eye(5), atol=0.05)
    assert "20000 noise samples" in scan.provenance["noise"]
    assert warnings(caplog) == []


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_the_scale_of_the_samples_does_not_matter(scan, rng, scale):
    samples = correlated(rng, 3, 4000)
    (expected,) = whitened(scan, samples, samples[:, :100])
    (out,) = whitened(scan, samples * np.float32(scale), samples[:, :100] * np.float32(scale))
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_without_noise_readouts_data_pass_and_the_provenance_says_so(scan, rng):
    gadget = NoiseWhitening(scan)
    acquisition = readout(complex_normal(rng, 3, 7))
    assert list(gadget.feed(acquisition)) == [acquisition]
    assert scan.provenance["noise"].startswith("none")


def test_noise_that_is_not_finite_is_refused_in_a_sentence(scan):
    with pytest.raises(ScanError, match="not finite"):
        whitened(scan, np.full((3, 50), np.nan))


@pytest.mark.parametrize("level", [0, 1e-9])
def test_a_channel_without_noise_is_left_out_by_name(scan, rng, caplog, level):
    noise, spoke = complex_normal(rng, 4, 1000), complex_normal(rng, 4, 1000)
    noise[2] *= level
    (out,) = whitened(scan, noise, spoke)
    assert "channel 3 hold no noise" in " ".join(warnings(caplog))
    assert not out[2].any()
    rest = out[[0, 1, 3]]
    np.testing.assert_allclose(rest @ rest.conj().T / 1000, np.eye(3), atol=0.2)


def test_channels_that_repeat_each_other_are_named_and_their_common_signal_stays_white(scan, rng, caplog):
    samples = complex_normal(rng, 4, 2000)
    samples[1] = samples[0]
    (out,) = whitened(scan, samples, samples)
    assert "channels 1 and 2 is not independent" in " ".join(warnings(caplog))
    # three independent directions with unit variance; the fourth holds only rounding
    eigenvalues = np.linalg.eigvalsh(out @ out.conj().T / 2000)
    np.testing.assert_allclose(eigenvalues, [0, 1, 1, 1], atol=1e-3)


@pytest.mark.parametrize(
    ("noise", "reason"),
    [
        ("other coils", "the noise readouts have 2 coils and the spokes have 3"),
        ("zeros", "the noise readouts hold no noise"),
        ("a spoke", "the noise readouts hold signal or spikes instead of noise"),
    ],
)
def test_a_noise_scan_that_is_none_of_these_spokes_is_not_used(scan, rng, caplog, noise, reason):
    spoke = complex_normal(rng, 3, 200) + 100 * np.sinc(0.5 * (np.arange(200) - 100))
    readouts = {"other coils": complex_normal(rng, 2, 200), "zeros": np.zeros((3, 200)), "a spoke": spoke}
    (out,) = whitened(scan, readouts[noise], spoke)
    np.testing.assert_array_equal(out, spoke.astype(np.complex64))
    (said,) = warnings(caplog)
    assert reason in said
    assert scan.provenance["noise"] == f"not used: {reason}"


def test_few_noise_samples_give_the_level_of_each_coil(scan, rng, caplog):
    noise = np.array([[1, -1, 1], [2, 2, -2], [4, -4, -4]])
    spoke = complex_normal(rng, 3, 50) * np.array([[10], [20], [40]])
    (out,) = whitened(scan, noise, spoke)
    np.testing.assert_allclose(out, spoke / [[1], [2], [4]], rtol=1e-5)
    assert "3 noise samples cannot give the noise covariance of 3 coils" in warnings(caplog)[0]


def test_noise_larger_than_the_spokes_is_warned_of(scan, rng, caplog):
    whitened(scan, 10 * complex_normal(rng, 3, 1000), complex_normal(rng, 3, 1000))
    assert "only 0.01 of the power of the noise readouts" in " ".join(warnings(caplog))


@pytest.mark.parametrize("useless", [np.zeros((3, 100)), np.full((3, 100), np.nan), np.full((3, 100), np.inf)])
def test_the_first_usable_spoke_is_compared_with_the_noise(scan, rng, caplog, useless):
    samples = complex_normal(rng, 3, 1000)
    _, out = whitened(scan, samples, useless, samples)
    np.testing.assert_allclose(out @ out.conj().T / 1000, np.eye(3), atol=1e-3)
    assert warnings(caplog) == []


def test_late_noise_readouts_are_counted_and_leave_no_gap(scan, rng, caplog):
    gadget, noise = NoiseWhitening(scan), readout(complex_normal(rng, 3, 400), noise=True)
    assert list(gadget.feed(noise)) == [LeftOut(0)]
    list(gadget.feed(readout(complex_normal(rng, 3, 7))))
    for counter in range(5, 9):
        noise.scan_counter = counter
        assert list(gadget.feed(noise)) == [LeftOut(counter)]
    list(gadget.finish())
    assert [w for w in warnings(caplog) if "after the first spoke" in w] == [
        "4 noise readouts came after the first spoke and were ignored."
    ]


@pytest.mark.parametrize("dwell_us", [np.inf, np.nan, -1.0, 0.0])
def test_a_dwell_time_of_noise_that_is_none_does_not_scale_it(scan, rng, dwell_us):
    samples = correlated(rng, 3, 4000)
    gadget = NoiseWhitening(scan)
    list(gadget.feed(readout(samples[:, :2000], noise=True, dwell_us=dwell_us)))
    (out,) = gadget.feed(readout(samples[:, 2000:]))
    np.testing.assert_allclose(out.data @ out.data.conj().T / 2000, np.eye(3), atol=0.1)
