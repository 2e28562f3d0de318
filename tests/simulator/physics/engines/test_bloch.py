"""Isochromats against what the Bloch equation must keep, forget and dephase."""

import numpy as np
import pytest
import torch

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

NO_DECAY = 1e12


def train(flip_deg, spoiling, rf_phase_deg=(), tr_ms=7.0, **other):
    n = len(flip_deg)
    settings = {"ti_ms": 0.0, "recovery_ms": 0.0, "repetitions": 1, "inversion": False} | other
    return PulseSequence(
        "train",
        np.asarray(flip_deg, float),
        np.full(n, 1e-9),
        np.full(n, tr_ms),
        rf_phase_deg=np.asarray(rf_phase_deg, float),
        spoiling=spoiling,
        **settings,
    )


def signal(sequence, t1_ms, t2_ms, b1=1.0, deltaf_hz=0.0, **other):
    return fingerprint(sequence, t1_ms, t2_ms, b1=b1, deltaf_hz=deltaf_hz, engine="bloch", **other)


def test_without_relaxation_magnetisation_keeps_its_length():
    rng = np.random.default_rng(1)
    flips, phases = rng.uniform(0, 180, 23), rng.uniform(0, 360, 23)
    ends = (0.0, 90.0)  # a last pulse of 0° shows what is transverse, one of 90° turns Mz into the real axis
    still, turned = (
        signal(train([*flips, end], "balanced", [*phases, 0.0]), NO_DECAY, NO_DECAY, 1.0, 31.0)[-1] for end in ends
    )
    assert still.real**2 + still.imag**2 + turned.real**2 == pytest.approx(1, rel=1e-9)
    assert still.imag == pytest.approx(turned.imag, abs=1e-9)


def test_pulses_of_one_phase_add_up_on_resonance():
    flips = np.array([20.0, 31, 7, 90, 12])
    expected = np.sin(np.deg2rad(np.cumsum(0.9 * flips)))
    np.testing.assert_allclose(signal(train(flips, "balanced"), NO_DECAY, NO_DECAY, 0.9), expected, atol=1e-9)


def test_full_recovery_forgets_the_train_before():
    flips = [40.0, 25, 60]
    often = signal(train(flips, "balanced", recovery_ms=5e4, repetitions=3), 900, 80)
    np.testing.assert_allclose(often, signal(train(flips, "balanced"), 900, 80), rtol=1e-12)


def test_off_resonance_turns_backwards_between_pulses():
    sequence = train([90, 0, 0], "balanced")
    expected = np.exp(-2j * np.pi * 23 * 7e-3 * np.arange(3))
    np.testing.assert_allclose(signal(sequence, NO_DECAY, NO_DECAY, 1.0, 23.0), expected, atol=1e-7)


@pytest.mark.parametrize("cycles", [0.25, 0.5, 1.5, 2.0])
def test_a_gradient_of_any_strength_dephases_as_a_sinc(cycles):
    sequence = train([90, 0, 0], "gradient")
    dephased = signal(sequence, NO_DECAY, NO_DECAY, dephasing_cycles=cycles, orders=4001)
    np.testing.assert_allclose(dephased, np.sinc(cycles * np.arange(3)), atol=1e-5)


def test_a_spin_echo_refocuses_dephasing_of_any_strength():
    sequence = train([90, 180, 0], "gradient")
    assert signal(sequence, NO_DECAY, NO_DECAY, dephasing_cycles=0.7, orders=7)[2] == pytest.approx(-1, rel=1e-9)


def test_derivatives_with_respect_to_the_tissue():
    tissue = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([900.0, 300], [60.0, 90], [0.9, 1.1])]
    sequence = train([40.0, 25, 60, 10], "gradient", [0, 50, 150, 300])
    assert torch.autograd.gradcheck(lambda *x: torch.view_as_real(signal(sequence, *x)), tissue)
