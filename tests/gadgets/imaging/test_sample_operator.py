"""What samples would show of a signal, against sums over all pixels and samples."""

import numpy as np
import pytest
import torch
from exact_samples import ExactSamples
from scipy.special import jv
from small_scan import complex_normal

from spokestream.gadgets.imaging.readout_phase import ORDER, phase_coefficients


def found_and_expected(scan, rng, frequencies_hz):
    """The images of the adjoint of voxels that each have signal of several frequencies below the receiver."""
    shape = len(scan.basis.te_ms), int(scan.tissue.sum())
    lines = [(rng.uniform(0.9, 1.1, shape[1]) * hz, complex_normal(rng, *shape)) for hz in frequencies_hz]
    operator = scan.operator()
    signals = sum(phase_coefficients(hz, operator.half_readout_s)[:, None] * c for hz, c in lines)
    return operator.adjoint(signals, threads=2), scan.adjoint(lines)


def distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("frames", "delay"),
    [(range(10), 0.0), ((0, 1, 3, 4, 5, 6, 8, 9), 0.0), (range(10), 0.4)],
    ids=["all frames", "two are missing", "delayed gradients"],
)
def test_it_is_the_adjoint_of_the_samples_with_their_phase(rng, frames, delay):
    """With 14 samples of 40 us, 220 Hz turn by 0.8 radian; the terms from the third on are left out."""
    scan = ExactSamples(rng, dwell_us=40.0, frames=frames, delay=delay)
    largest = 1.1 * 220 * 2 * np.pi * scan.operator().half_readout_s
    left_out = 2 * sum(jv(m, largest) for m in range(ORDER + 1, 9))
    assert distance(*found_and_expected(scan, rng, [-200.0, 180.0, 220.0])) < left_out


@pytest.mark.parametrize("dwell_us", [0.0, None], ids=["no time", "an unknown time"])
def test_without_phase_it_is_exact(rng, dwell_us):
    scan = ExactSamples(rng, dwell_us)
    assert distance(*found_and_expected(scan, rng, [-200.0, 220.0])) < 1e-4


def test_bits_do_not_depend_on_the_number_of_threads(rng):
    operator = ExactSamples(rng, dwell_us=40.0).operator()
    signals = complex_normal(rng, ORDER + 1, len(operator.basis.te_ms), int(operator.tissue.sum()))
    np.testing.assert_array_equal(operator.adjoint(signals, 1), operator.adjoint(signals, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_computes_as_the_cpu_does(rng):
    scan = ExactSamples(rng, dwell_us=40.0)
    signals = complex_normal(rng, ORDER + 1, len(scan.basis.te_ms), int(scan.tissue.sum()))
    expected = scan.operator().adjoint(signals, 1)
    # rounding errors of 6e-8 of transforms, point spread functions and sums
    assert distance(scan.operator("cuda").adjoint(signals, 1), expected) < 20 * 6e-8
