"""The closed-form signal against published fingerprints and limits with a known answer."""

import dataclasses

import numpy as np
import pytest

from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal, voxel_signal

FRAMES = [0, 1, 10, 22, 23, 24, 37, 74, 75, 99, 100, 124, 125, 149, 150, 174]
WATER_07 = "-.055463 -.052415 -.029298 -.007897 -.006487 -.005126 .008839 .026419 .052178 .032387 .016080 .028378 .081327 .028485 .009815 .028678"  # noqa: E501
WATER_07_STEADY = "-.054141 -.051139 -.028367 -.007285 -.005897 -.004556 .009200 .026517 .052364 .032414 .016093 .028383 .081340 .028486 .009815 .028678"  # noqa: E501
WATER_10 = "-.078647 -.073152 -.034426 -.003874 -.002069 -.000354 .015577 .030059 .057841 .024382 .012486 .030704 .083182 .020873 .007735 .033245"  # noqa: E501
FAT_07 = "-.052153 -.042857 .010661 .037492 .038632 .039669 .047026 .049934 .097832 .069105 .034985 .050299 .143166 .077058 .027044 .051060"  # noqa: E501
FAT_10 = "-.073953 -.059732 .016811 .049665 .050903 .052011 .059223 .061418 .117782 .067721 .035294 .063617 .171300 .069121 .025902 .066074"  # noqa: E501


def frames(spokes):
    return spokes.reshape(*spokes.shape[:-1], 175, 8).mean(-1)


@pytest.mark.parametrize(
    ("t1", "b1", "t2", "repetitions", "printed"),
    [
        (1400, 0.7, 40, 1, WATER_07),
        (1400, 0.7, 40, 2, WATER_07_STEADY),
        (1400, 1.0, 40, 1, WATER_10),
        (350, 0.7, 80, 1, FAT_07),
        (350, 1.0, 80, 1, FAT_10),
    ],
)
def test_reference_fingerprints(t1, b1, t2, repetitions, printed):
    sequence = dataclasses.replace(load_sequence("t1ff-2d-1400"), repetitions=repetitions)
    expected = [float(x) for x in printed.split()]
    np.testing.assert_allclose(frames(pool_signal(sequence, t1, b1, t2))[FRAMES], expected, rtol=0, atol=1e-6)


def test_reference_fingerprint_of_a_mixed_voxel():
    sequence = dataclasses.replace(load_sequence("t1ff-2d-1400"), repetitions=1)
    signal = frames(voxel_signal(sequence, ff=0.2, t1h2o_ms=1400, t1fat_ms=350, deltaf_hz=20, b1=0.7))
    expected = np.array(
        [
            -0.050032 + 0.010610j, 0.054219 - 0.007628j, 0.008150 - 0.007292j,
            0.044620 - 0.035058j, 0.008736 - 0.002950j, 0.023276 - 0.010032j,
        ]
    )  # fmt: skip
    np.testing.assert_allclose(signal[[0, 75, 100, 125, 150, 174]], expected, rtol=0, atol=1.5e-6)


def test_fat_spectrum_at_the_three_echo_times():
    expected = [0.628986 + 0.447376j, -0.343756 - 0.456483j, 0.197481 + 0.431858j]
    np.testing.assert_allclose(FatModel().phasor([2.39, 3.45, 4.63]), expected, rtol=0, atol=1e-6)
    assert FatModel().phasor(0.0) == pytest.approx(0.9998)


def constant_train(n, flip_deg, tr_ms, **other):
    settings = {"ti_ms": 8.0, "recovery_ms": 0.0, "repetitions": 1} | other
    return PulseSequence("test", np.full(n, float(flip_deg)), np.full(n, 1.5), np.full(n, float(tr_ms)), **settings)


def test_without_inversion_a_long_train_reaches_the_spoiled_steady_state():
    sequence = constant_train(900, 12, 5)
    t1, b1, t2 = 90.0, 0.85, 40.0
    alpha, e1 = np.deg2rad(12 * b1), np.exp(-5 / t1)
    ernst = np.sin(alpha) * (1 - e1) / (1 - e1 * np.cos(alpha)) * np.exp(-1.5 / t2)
    for efficiency in (-1.0, 0.0, 1.0):  # -1: no inversion at all; the steady state forgets how it began
        assert pool_signal(sequence, t1, b1, t2, efficiency)[-1] == pytest.approx(ernst, rel=1e-9)
    assert pool_signal(sequence, t1, b1, t2, -1.0)[0] == pytest.approx(np.sin(alpha) * np.exp(-1.5 / t2))


def test_the_steady_state_is_largest_at_the_ernst_angle():
    ernst_deg = np.rad2deg(np.arccos(np.exp(-5 / 90)))
    angles = ernst_deg * np.array([0.9, 1.0, 1.1])
    signal = [pool_signal(constant_train(900, a, 5), 90.0, 1.0, 40.0)[-1] for a in angles]
    assert np.argmax(signal) == 1


def test_t1_far_below_tr_recovers_fully_before_every_pulse():
    sequence = load_sequence("t1ff-2d-1400")
    expected = np.sin(np.deg2rad(0.7 * sequence.flip_angle_deg)) * np.exp(-sequence.te_ms / 40)
    np.testing.assert_allclose(pool_signal(sequence, 0.05, 0.7, 40.0), expected, rtol=1e-12)


def test_the_first_spoke_sees_the_inverted_magnetisation():
    sequence = constant_train(3, 10, 5, ti_ms=20.0)
    for efficiency in (1.0, 0.9):
        mz = 1 - (1 + efficiency) * np.exp(-20 / 1300)
        expected = mz * np.sin(np.deg2rad(8)) * np.exp(-1.5 / 40)
        assert pool_signal(sequence, 1300, 0.8, 40.0, efficiency)[0] == pytest.approx(expected, rel=1e-12)


def test_after_full_recovery_repetitions_make_no_difference():
    once, often = (constant_train(40, 9, 4, recovery_ms=6e4, repetitions=n) for n in (1, 4))
    np.testing.assert_allclose(pool_signal(often, 1400, 0.9, 40.0), pool_signal(once, 1400, 0.9, 40.0), rtol=1e-12)


def test_off_resonance_turns_the_phase_backwards_by_its_echo_time():
    sequence = load_sequence("t1ff-2d-1400")
    still, turning = (voxel_signal(sequence, 0.3, 1300, 340, f, 0.8) for f in (0.0, 30.0))
    np.testing.assert_allclose(turning, still * np.exp(-2j * np.pi * 30 * sequence.te_ms * 1e-3), rtol=1e-12)


def test_shapes_broadcast():
    sequence = constant_train(7, 9, 4)
    signal = voxel_signal(sequence, np.zeros((3, 1)), np.full((3, 1), 1400.0), 340.0, 0.0, np.array([0.7, 0.8]))
    assert signal.shape == (3, 2, 7)
    np.testing.assert_allclose(signal[2, 1], pool_signal(sequence, 1400, 0.8, 40.0))
