"""One question to three engines: they agree, and answer in the same way."""

import dataclasses

import numpy as np
import pytest
import torch

from spokestream.simulator.physics import fingerprint as module
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal

T1, T2 = np.array([310.0, 1400, 2600]), np.array([35.0, 80, 500])


def random_train(spoiling="gradient", increment_deg=0.0, n=23, same_tr=False, **other):
    rng = np.random.default_rng(n)
    j = np.arange(n)
    settings = {"ti_ms": 11.0, "recovery_ms": 37.0, "repetitions": 2} | other
    return PulseSequence(
        "random",
        rng.uniform(0, 70, n),
        rng.uniform(2, 3, n),
        np.full(n, 9.0) if same_tr else rng.uniform(6, 12, n),
        rf_phase_deg=increment_deg * j * (j + 1) / 2,
        spoiling=spoiling,
        **settings,
    )


@pytest.mark.parametrize("repetitions", [1, 2, 3])
@pytest.mark.parametrize("deltaf_hz", [0.0, 23.0])
@pytest.mark.parametrize(("increment_deg", "same_tr"), [(0, False), (50, False), (180, False), (0, True), (117, True)])
@pytest.mark.parametrize("spoiling", ["ideal", "gradient", "balanced"])
def test_the_engines_agree(spoiling, increment_deg, same_tr, deltaf_hz, repetitions):
    sequence = random_train(spoiling, increment_deg, same_tr=same_tr, repetitions=repetitions)
    settings = {
        "b1": [0.7, 1.0, 1.2],
        "deltaf_hz": deltaf_hz,
        "inversion_efficiency": 0.93,
        "slice_profile": [0.4, 1.0, 0.8, 0.1],
    }
    orders = len(sequence) * repetitions
    graphs = fingerprint(sequence, T1, T2, engine="epg", orders=orders, **settings)
    points = fingerprint(sequence, T1, T2, engine="bloch", orders=orders + 1, **settings)
    np.testing.assert_allclose(graphs, points, rtol=0, atol=1e-10)
    if spoiling == "ideal":
        closed = fingerprint(sequence, T1, T2, engine="closed form", **settings)
        np.testing.assert_allclose(closed, points, rtol=0, atol=1e-10)


def test_without_an_engine_named_the_sequence_picks_one():
    ideal, gradient = random_train("ideal"), random_train("gradient")
    np.testing.assert_array_equal(fingerprint(ideal, T1, T2), fingerprint(ideal, T1, T2, engine="closed form"))
    np.testing.assert_array_equal(fingerprint(gradient, T1, T2), fingerprint(gradient, T1, T2, engine="epg"))
    partial = fingerprint(gradient, T1, T2, dephasing_cycles=0.5)
    np.testing.assert_array_equal(partial, fingerprint(gradient, T1, T2, dephasing_cycles=0.5, engine="bloch"))


def test_water_and_fat_have_the_same_closed_form():
    sequence = random_train("ideal")
    expected = pool_signal(sequence, T1, 0.8, 40.0, inversion_efficiency=0.9)
    np.testing.assert_allclose(fingerprint(sequence, T1, 40.0, b1=0.8, inversion_efficiency=0.9), expected, rtol=1e-12)


@pytest.mark.parametrize("spoiling", ["ideal", "gradient", "balanced"])
def test_without_inversion_the_train_begins_in_equilibrium(spoiling):
    sequence = random_train(spoiling, repetitions=1, inversion=False)
    expected = np.sin(np.deg2rad(0.8 * sequence.flip_angle_deg[0])) * np.exp(-sequence.te_ms[0] / T2)
    np.testing.assert_allclose(fingerprint(sequence, T1, T2, b1=0.8)[:, 0], expected, rtol=1e-12)
    uninverted = dataclasses.replace(sequence, inversion=True, ti_ms=0.0)
    with_none = fingerprint(uninverted, T1, T2, b1=0.8, inversion_efficiency=-1)
    np.testing.assert_allclose(with_none, fingerprint(sequence, T1, T2, b1=0.8), rtol=1e-12)


@pytest.mark.parametrize("spoiling", ["ideal", "gradient", "balanced"])
def test_off_resonance_turns_the_first_echo_backwards(spoiling):
    sequence = random_train(spoiling, increment_deg=50, repetitions=1)
    first = fingerprint(sequence, T1, T2, b1=0.9, deltaf_hz=31.0)[:, 0]
    still = fingerprint(sequence, T1, T2, b1=0.9)[:, 0]
    np.testing.assert_allclose(first, still * np.exp(-2j * np.pi * 31e-3 * sequence.te_ms[0]), rtol=1e-12)


def test_a_slice_profile_is_the_mean_over_its_flip_angles():
    sequence, profile = random_train(increment_deg=50), [0.3, 0.9, 1.1]
    mean = np.mean([fingerprint(sequence, T1, T2, b1=0.8 * share, engine="epg", orders=46) for share in profile], 0)
    thick = fingerprint(sequence, T1, T2, b1=0.8, slice_profile=profile, orders=46)
    np.testing.assert_allclose(thick, mean, rtol=0, atol=1e-14)


def test_tissue_broadcasts_and_keeps_its_order_whatever_the_chunks(monkeypatch):
    sequence = random_train(n=61)
    t2 = np.random.default_rng(2).uniform(20, 600, (5, 1))
    b1 = np.array([0.7, 1.0, 1.1])
    monkeypatch.setitem(module.CHUNK, "cpu", 97)
    chunked = fingerprint(sequence, 900.0, t2, b1=b1, threads=2)
    assert chunked.shape == (5, 3, 61)
    for i, k in np.ndindex(5, 3):
        np.testing.assert_allclose(chunked[i, k], fingerprint(sequence, 900, t2[i, 0], b1=b1[k]), rtol=0, atol=1e-4)


def test_no_atoms_give_no_signals():
    assert fingerprint(random_train(), np.zeros((0, 3)), 40.0).shape == (0, 3, 23)


@pytest.mark.parametrize("increment_deg", [0, 117])
def test_single_precision_is_enough_for_a_dictionary(increment_deg):
    sequence = random_train(n=201, increment_deg=increment_deg)
    single, double = (fingerprint(sequence, T1, T2, dtype=t, orders=402) for t in (torch.float32, torch.float64))
    assert single.dtype == (np.complex64 if increment_deg else np.float32)
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)


def test_tensors_come_back_as_tensors():
    sequence = random_train()
    t1, t2 = torch.tensor(T1), torch.tensor(T2)
    signal = fingerprint(sequence, t1, t2)
    assert isinstance(signal, torch.Tensor)
    assert not signal.is_inference()
    np.testing.assert_array_equal(signal.numpy(), fingerprint(sequence, T1, T2))


@pytest.mark.parametrize("spoiling", ["ideal", "gradient", "balanced"])
@pytest.mark.parametrize("increment_deg", [0, 50])
def test_derivatives_with_respect_to_the_tissue(spoiling, increment_deg):
    sequence = random_train(spoiling, increment_deg, n=7)
    tissue = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (T1, T2, [0.7, 1.0, 1.2], [5.0, -9, 3])]

    def signal(t1_ms, t2_ms, b1, deltaf_hz, **other):
        return fingerprint(sequence, t1_ms, t2_ms, b1=b1, deltaf_hz=deltaf_hz, **other)

    def parts(*tissue):
        return torch.view_as_real(signal(*tissue, slice_profile=[0.6, 1.0]))

    assert torch.autograd.gradcheck(parts, tissue)
    traced = signal(*tissue).detach()
    np.testing.assert_allclose(traced, signal(*(x.detach() for x in tissue)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t1_ms": 0.0}, "T1 must be"),
        ({"t2_ms": np.inf}, "T2 must be"),
        ({"b1": np.nan}, "B1 must be"),
        ({"deltaf_hz": np.nan}, "off-resonance must be"),
        ({"inversion_efficiency": 1.1}, "within -1 and 1"),
        ({"slice_profile": []}, "slice profile"),
        ({"slice_profile": 0.5}, "slice profile"),
        ({"engine": "closed form"}, "one of epg, bloch"),
        ({"engine": "epg", "dephasing_cycles": 0.5}, "one of bloch"),
        ({"orders": 0}, "at least one order"),
        ({"dephasing_cycles": np.nan}, "cycles of dephasing"),
        ({"threads": 0}, "threads"),
        ({"dtype": torch.float16}, "float32 or torch.float64"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fingerprint(random_train(), **({"t1_ms": 900.0, "t2_ms": 60.0} | change))
