"""Sequences read from Pulseq files that pypulseq wrote."""

import sys

import numpy as np
import pytest

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.sequences.loading import load_sequence

FLIP_DEG = [7.0, 19.0, 33.0, 33.0, 12.0]
TE_MS = [2.5, 2.5, 3.1, 3.1, 2.8]
TR_MS = [9.0, 9.6, 11.0, 10.0, 10.0]
TI_MS = 25.0
RECOVERY_MS = 130.0
INCREMENT_DEG = 117.0


@pytest.fixture
def pp():
    return pytest.importorskip("pypulseq")


def write(pp, path, spoiler_area=600.0, inversion="inversion", receiver_follows=True, readouts=1, use="excitation"):
    """A slice-selective train whose pulses and readouts have their centres where the lists above say."""
    system = pp.Opts(rf_ringdown_time=20e-6, rf_dead_time=100e-6, adc_dead_time=10e-6)
    sequence = pp.Sequence(system)
    done = 0.0

    def play_until(time_ms, *events):
        # a block that ends where the next one has to begin
        nonlocal done
        sequence.add_block(*events, pp.make_delay(round(time_ms * 1e-3 - done, 5)))
        done = round(time_ms * 1e-3, 5)

    to_centre_ms = 0.7  # of a pulse of 1 ms that begins 0.2 ms into its block
    start_ms = 5.0
    if inversion:
        play_until(5, pp.make_block_pulse(np.pi, duration=1e-3, delay=2e-4, system=system, use=inversion))
        start_ms = to_centre_ms + TI_MS
    for number, (flip, te, tr) in enumerate(zip(FLIP_DEG, TE_MS, TR_MS, strict=True)):
        phase = np.deg2rad(INCREMENT_DEG * number * (number + 1) / 2)
        rf, gz, rephaser = pp.make_sinc_pulse(
            np.deg2rad(flip), duration=1e-3, delay=2e-4, slice_thickness=8e-3, phase_offset=phase, return_gz=True,
            system=system, use=use,
        )  # fmt: skip
        readout = pp.make_adc(40, delay=1e-5, dwell=1e-5, phase_offset=phase * receiver_follows, system=system)
        spoiler = pp.make_trapezoid("z", area=spoiler_area - gz.area - rephaser.area, duration=2e-3, system=system)
        play_until(start_ms - to_centre_ms)
        play_until(start_ms + 0.8, rf, gz)
        play_until(start_ms + te - 0.21, rephaser)
        for _ in range(readouts):
            play_until(done * 1e3 + 0.5, readout)
        play_until(done * 1e3 + 2.1, spoiler)
        start_ms += tr
    play_until(start_ms + RECOVERY_MS)
    sequence.write(str(path))
    return path


@pytest.mark.parametrize("inversion", ["inversion", "undefined", None])
def test_a_written_train_is_read_back(pp, tmp_path, inversion):
    sequence = load_sequence(write(pp, tmp_path / "fisp.seq", inversion=inversion))
    assert sequence.name == "fisp"
    np.testing.assert_allclose(sequence.flip_angle_deg, FLIP_DEG, rtol=1e-4)
    np.testing.assert_allclose(sequence.te_ms, TE_MS, atol=0.02)
    np.testing.assert_allclose(sequence.tr_ms, TR_MS, atol=0.02)
    np.testing.assert_allclose(sequence.rf_phase_deg, [0, 117, 351, 342, 90], atol=0.01)  # 117 n (n + 1) / 2
    assert sequence.inversion == bool(inversion)
    assert sequence.ti_ms == pytest.approx(TI_MS if inversion else 0, abs=0.02)
    assert sequence.recovery_ms == pytest.approx(RECOVERY_MS, abs=0.1)
    assert sequence.repetitions == 1
    assert sequence.spoiling == "gradient"


def test_gradients_that_cancel_are_balanced(pp, tmp_path):
    assert load_sequence(write(pp, tmp_path / "bssfp.seq", spoiler_area=0.0)).spoiling == "balanced"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"receiver_follows": False}, "receiver of odd.seq does not follow"),
        ({"readouts": 2}, "Excitation 0 of odd.seq has 2 readouts"),
        ({"use": "refocusing"}, "Pulse 0 of odd.seq refocuses"),
    ],
)
def test_sequences_of_another_form_are_refused_in_words(pp, tmp_path, changes, words):
    with pytest.raises(FileError, match=words):
        load_sequence(write(pp, tmp_path / "odd.seq", **changes))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pypulseq leaves the file open
def test_what_is_no_pulseq_file_is_refused_in_words(pp, tmp_path):
    path = tmp_path / "broken.seq"
    path.write_bytes(b"\xff[BLOCKS]\n1 2")
    with pytest.raises(FileError, match="is no Pulseq file"):
        load_sequence(path)
    with pytest.raises(FileError, match="There is no sequence file"):
        load_sequence(tmp_path / "gone.seq")
    path.write_text("[VERSION]\nmajor 1\nminor 4\nrevision 0\n\n[DEFINITIONS]\nTotalDuration 0\n")
    with pytest.raises(FileError, match=r"no Pulseq file|excites nothing"):
        load_sequence(path)


def test_without_pypulseq_the_answer_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pypulseq", None)
    with pytest.raises(InputError, match=r"pip install spokestream\[pulseq\]"):
        load_sequence(tmp_path / "any.seq")
