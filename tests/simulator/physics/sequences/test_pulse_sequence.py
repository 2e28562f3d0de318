"""Sequences: the published trains, and what is refused."""

import dataclasses

import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

RUNS = ((600, 5, 2.39), (200, 10, 2.39), (200, 5, 3.45), (200, 15, 3.45), (200, 5, 4.63))


@pytest.mark.parametrize(("name", "dead_ms", "train_s"), [("t1ff-2d-1400", 1.13, 5.8), ("t1ff-2d-1400-adj", 1.63, 6.5)])
def test_presets_hold_the_published_trains(name, dead_ms, train_s):
    sequence = load_sequence(name)
    flip = np.concatenate([np.full(n, angle) for n, angle, _ in RUNS])
    te = np.concatenate([np.full(n, te) for n, _, te in RUNS])
    assert np.array_equal(sequence.flip_angle_deg, flip)
    assert np.array_equal(sequence.te_ms, te)
    np.testing.assert_allclose(sequence.tr_ms, te + dead_ms, rtol=1e-12)
    assert np.sum(sequence.tr_ms) == pytest.approx(train_s * 1e3, abs=0.5)
    assert sequence.ti_ms == 8.32
    assert sequence.repetitions == 2
    assert len(sequence) == 1400
    assert sequence.n_frames == 175


def test_one_slice_takes_ten_seconds():
    assert load_sequence("t1ff-2d-1400").duration_ms == pytest.approx(10_000, abs=10)


def test_echo_groups_point_back_to_the_echo_times():
    sequence = load_sequence("t1ff-2d-1400")
    assert sequence.echo_times_ms.tolist() == [2.39, 3.45, 4.63]
    np.testing.assert_allclose(sequence.echo_times_ms[sequence.echo_group], sequence.te_ms)


def test_the_last_frame_may_be_short():
    trains = {key: np.full(17, value) for key, value in (("flip_angle_deg", 5.0), ("te_ms", 2.0), ("tr_ms", 4.0))}
    assert PulseSequence("odd", **trains, ti_ms=8, recovery_ms=0).n_frames == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"te_ms": np.ones(3)}, "one length"),
        ({key: np.array([]) for key in ("te_ms", "tr_ms", "flip_angle_deg")}, "one length"),
        ({"flip_angle_deg": np.zeros(1400)}, "at least one flip angle must be positive"),
        ({"flip_angle_deg": np.full(1400, -5.0)}, "flip angles must be finite and not negative"),
        ({"rf_phase_deg": np.full(1400, np.inf)}, "RF phases must be finite"),
        ({"spoiling": "crusher"}, "one of ideal, gradient, balanced, not 'crusher'"),
        ({"te_ms": np.full(1400, np.nan)}, "TE must be finite"),
        ({"te_ms": np.full(1400, 9.0)}, "TE must be shorter than TR"),
        ({"ti_ms": -1.0}, "inversion time"),
        ({"recovery_ms": np.inf}, "recovery"),
        ({"repetitions": 0}, "at least 1"),
        ({"spokes_per_frame": 0}, "at least 1"),
    ],
)
def test_impossible_sequences_are_refused_in_words(change, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(load_sequence("t1ff-2d-1400"), **change)


def test_difference_names_the_first_spoke_that_differs():
    a = load_sequence("t1ff-2d-1400")
    te = a.te_ms.copy()
    te[601] += 0.01
    assert a.difference(dataclasses.replace(a, te_ms=te)) == "te_ms of spoke 601 is 2.39 ms against 2.4 ms"
    assert a.difference(load_sequence("t1ff-2d-1400-adj")) == "tr_ms of spoke 0 is 3.52 ms against 4.02 ms"
    assert "repetitions is 2 against 1" in str(a.difference(dataclasses.replace(a, repetitions=1)))
    single = dataclasses.replace(a, name="other", te_ms=a.te_ms.astype(np.float32).astype(float))
    assert a.difference(single) is None


def test_difference_sees_how_the_train_is_spoiled_and_prepared():
    a = load_sequence("t1ff-2d-1400")
    assert a.difference(dataclasses.replace(a, spoiling="gradient")) == "spoiling is ideal against gradient"
    assert a.difference(dataclasses.replace(a, inversion=False)) == "inversion is True against False"


def test_unknown_presets_are_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"no sequence preset 'nope'; known are .*t1ff-2d-1400, "):
        load_sequence("nope")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="There is no sequence file"):
        load_sequence(tmp_path / "gone.toml")
