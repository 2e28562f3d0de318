"""Extended phase graphs against closed forms, published numbers and an independent simulator."""

import dataclasses

import numpy as np
import pytest

from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

NO_DECAY = 1e12


def train(flip_deg, tr_ms, te_ms=1e-9, spoiling="gradient", rf_phase_deg=(), **other):
    n = len(flip_deg)
    flip, te, tr = (np.broadcast_to(np.asarray(x, float), n) for x in (flip_deg, te_ms, tr_ms))
    settings = {"ti_ms": 0.0, "recovery_ms": 0.0, "repetitions": 1, "inversion": False} | other
    return PulseSequence(
        "train", flip, te, tr, rf_phase_deg=np.asarray(rf_phase_deg, float), spoiling=spoiling, **settings
    )


def signal(sequence, t1_ms, t2_ms, b1=1.0, deltaf_hz=0.0, **other):
    settings = {"orders": 2 * len(sequence)} | other
    return fingerprint(sequence, t1_ms, t2_ms, b1=b1, deltaf_hz=deltaf_hz, engine="epg", **settings)


def quadratic(n, increment_deg):
    j = np.arange(n)
    return increment_deg * j * (j + 1) / 2


def test_spin_echo_of_hahn():
    a, b = np.deg2rad([70, 130])
    echo = signal(train([70, 130, 0], 20), NO_DECAY, 90)
    np.testing.assert_allclose(echo[2], -np.sin(a) * np.sin(b / 2) ** 2 * np.exp(-40 / 90), rtol=1e-9)


def test_stimulated_echo_of_hahn():
    # the third pulse comes three intervals after the second, so that no spin echo falls on the stimulated one
    echo = signal(train([80, 60, 0, 0, 50, 0], 20), 700, 90)
    amplitude = np.prod(np.sin(np.deg2rad([80, 60, 50]))) / 2
    np.testing.assert_allclose(echo[5], -amplitude * np.exp(-2 * 20 / 90 - 3 * 20 / 700), rtol=1e-9)


def test_without_gradients_transverse_magnetisation_decays_with_t2():
    echoes = signal(train([90, *[0] * 6], 7, 3, "balanced"), 1e3, 55)
    np.testing.assert_allclose(echoes, np.exp(-(3 + 7 * np.arange(7)) / 55), rtol=1e-12)


def test_a_gradient_leaves_no_signal_until_a_pulse_turns_it_back():
    np.testing.assert_allclose(signal(train([90, 0, 0, 0], 7), NO_DECAY, NO_DECAY)[1:], 0, atol=1e-12)


@pytest.mark.parametrize(("t1", "t2"), [(1400, 40), (900, 120), (2000, 600)])
def test_steady_state_of_alternating_balanced_pulses(t1, t2):
    n, tr, te, alpha = 5001, 6.0, 2.5, np.deg2rad(35 * 0.9)
    e1, e2 = np.exp(-tr / t1), np.exp(-tr / t2)
    expected = np.sin(alpha) * (1 - e1) / (1 - (e1 - e2) * np.cos(alpha) - e1 * e2) * np.exp(-te / t2)
    sequence = train([35] * n, tr, te, "balanced", 180 * np.arange(n))
    np.testing.assert_allclose(signal(sequence, t1, t2, 0.9)[-1], expected, rtol=1e-5)


@pytest.mark.parametrize(("t1", "t2"), [(1400, 40), (300, 120)])
@pytest.mark.parametrize("flip_deg", [7, 35, 80])
def test_steady_state_of_gradient_spoiling(t1, t2, flip_deg):
    # Hänicke and Vogel, Magn Reson Med 2003;49:771
    n, tr, alpha = 601, 25.0, np.deg2rad(flip_deg)
    e1, e2, cosine = np.exp(-tr / t1), np.exp(-tr / t2), np.cos(alpha)
    p = 1 - e1 * cosine - e2**2 * (e1 - cosine)
    q = e2 * (1 - e1) * (1 + cosine)
    expected = np.tan(alpha / 2) * (1 - (e1 - cosine) * (1 - e2**2) / np.sqrt(p**2 - q**2))
    sequence = train([flip_deg] * n, tr)
    assert signal(sequence, t1, t2)[-1] == pytest.approx(expected, rel=1e-6)
    assert signal(sequence, t1, t2, orders=None)[-1] == pytest.approx(expected, abs=1e-4)


def test_published_saturation_recovery_without_spoiling():
    # snapMRF (Wang 2019), its unit test; T2 of 100 ms and TE of 1 ms follow from the first two of its values
    values = signal(train([60] * 12, 500, 1, "balanced"), 600, 100)
    np.testing.assert_allclose(values[:4], [0.857408, 0.673983, 0.630996, 0.622047], rtol=0, atol=1e-6)
    assert values[-1] == pytest.approx(0.619717, abs=1e-6)


def test_published_spin_echo():
    # snapMRF: TE is half of T2
    assert abs(signal(train([90, 180, 0], 25), NO_DECAY, 100)[2]) == pytest.approx(0.606531, abs=1e-6)


def test_published_fisp():
    # snapMRF, whose pulses turn about x: its signal is imaginary and negative
    values = signal(train([30] * 3, 10, 5), 1000, 100)
    np.testing.assert_allclose(values, [0.475615, 0.412528, 0.335848], rtol=0, atol=1e-6)


def test_published_turbo_spin_echoes_of_120_degrees():
    # snapMRF: no relaxation, refocusing pulses at right angles to the excitation, echoes half-way between them
    sequence = train([90, *[120, 0] * 3], 10, rf_phase_deg=[0, *[90] * 6])
    echoes = np.abs(signal(sequence, NO_DECAY, NO_DECAY)[2::2])
    np.testing.assert_allclose(echoes, [0.75, 0.9375, 0.84375], rtol=0, atol=1e-6)


def sycomore_signal(sequence, t1_ms, t2_ms, b1, deltaf_hz):
    """The same train in sycomore, whose off-resonance turns the other way and whose pulses turn about x."""
    sycomore = pytest.importorskip("sycomore", reason="the independent simulator, a package to be compiled")
    ms, deg, hz = sycomore.units.ms, sycomore.units.deg, sycomore.units.Hz
    model = sycomore.epg.Regular(sycomore.Species(t1_ms * ms, t2_ms * ms))
    model.delta_omega = -deltaf_hz * hz
    if sequence.inversion:
        model.apply_pulse(180 * deg)
    model.relaxation(sequence.ti_ms * ms)
    echoes = []
    trains = (sequence.flip_angle_deg, sequence.rf_phase_deg, sequence.te_ms, sequence.tr_ms)
    for flip, phase, te, tr in zip(*(x.tolist() for x in trains), strict=True):
        model.apply_pulse(b1 * flip * deg, (phase + 90) * deg)
        model.apply_time_interval(te * ms)
        echoes.append(model.echo * np.exp(-1j * np.deg2rad(phase)))
        model.apply_time_interval((tr - te) * ms)
        if sequence.spoiling == "gradient":
            model.shift()
    return np.array(echoes)


@pytest.mark.parametrize("deltaf_hz", [0.0, -37.0])
@pytest.mark.parametrize("increment_deg", [0, 50, 117, 180])
@pytest.mark.parametrize("spoiling", ["gradient", "balanced"])
def test_an_independent_simulator_finds_the_same(spoiling, increment_deg, deltaf_hz):
    rng = np.random.default_rng(3)
    n = 83
    te, tr = rng.uniform(2, 3, n), rng.uniform(6, 14, n)
    sequence = train(rng.uniform(0, 75, n), tr, te, spoiling, quadratic(n, increment_deg), ti_ms=21.0, inversion=True)
    for t1, t2, b1 in ((1400.0, 40.0, 0.8), (350.0, 133.0, 1.1), (2600.0, 580.0, 0.6)):
        expected = sycomore_signal(sequence, t1, t2, b1, deltaf_hz)
        np.testing.assert_allclose(signal(sequence, t1, t2, b1, deltaf_hz), expected, rtol=0, atol=1e-9)


TRAINS = {
    "low": lambda n, rng: np.full(n, 4.0),
    "high": lambda n, rng: np.full(n, 50.0),
    "lobes": lambda n, rng: 5 + 55 * np.abs(np.sin(np.pi * np.arange(n) / 140)),
    "random": lambda n, rng: rng.uniform(0, 70, n),
    "rare 90°": lambda n, rng: np.where(np.arange(n) % 90 == 0, 90.0, 4.0),
    "rare 180°": lambda n, rng: np.where(np.arange(n) % 90 == 0, 180.0, 15.0),
}


@pytest.mark.parametrize("increment_deg", [0, 50])
@pytest.mark.parametrize("flips", TRAINS)
def test_orders_left_out_cost_less_than_a_ten_thousandth(flips, increment_deg):
    rng = np.random.default_rng(4)
    n = 351
    tr = rng.uniform(12, 14, n)
    sequence = train(TRAINS[flips](n, rng), tr, 3, "gradient", quadratic(n, increment_deg), inversion=True)
    t1, t2 = np.array([900, 2000, 4000.0]), np.array([40, 150, 600.0])
    exact = signal(sequence, t1, t2)
    for i in range(len(t1)):  # each by itself, so that none profits from the orders of another
        error = signal(sequence, t1[i], t2[i], orders=None) - exact[i]
        assert np.abs(error).max() < 1e-4


def test_a_common_phase_step_is_invisible_under_gradients_of_equal_tr():
    n = 41
    flips = np.linspace(5, 60, n)
    still = signal(train(flips, 9), 1000, 100)
    moving = signal(train(flips, 9, rf_phase_deg=33 * np.arange(n)), 1000, 100)
    np.testing.assert_allclose(moving, still, atol=1e-12)


def test_states_of_an_earlier_repetition_return_in_a_later_one():
    # the second pulse stores half of what the first one tipped as Z of order 1, and the next train's first reads it
    sequence, b = train([90, 60], 5, repetitions=2), np.deg2rad(60)
    np.testing.assert_allclose(signal(sequence, NO_DECAY, NO_DECAY, orders=4)[1], -np.sin(b) * np.cos(b) / 2, atol=1e-9)
    alone = dataclasses.replace(sequence, repetitions=1)
    np.testing.assert_allclose(signal(alone, NO_DECAY, NO_DECAY)[1], 0.0, atol=1e-9)
