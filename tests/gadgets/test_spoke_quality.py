"""Spoke quality: good spokes keep their bits and their order, and others are left out, counted and warned of."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from small_scan import complex_normal

from spokestream.errors import ScanError
from spokestream.gadgets.messages import NOWHERE, SliceEnd, Spoke
from spokestream.gadgets.scan.integrity import IntegrityLedger
from spokestream.gadgets.spoke_quality import SpokeQuality
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence

N_SAMPLES = 64


@pytest.fixture
def scan(scan):
    return replace(scan, sequence=load_sequence("t1ff-2d-1400"))


@pytest.fixture
def spokes(rng):
    """Spokes of four coils: a recovery through zero, a peak at k = 0 and noise."""
    position = np.arange(N_SAMPLES) - N_SAMPLES // 2
    k = np.stack([position / 2, np.zeros(N_SAMPLES)], axis=1).astype(np.float32)
    pattern = 100 * complex_normal(rng, 4, 1) * np.sinc(0.3 * position)
    recovery = 1 - 2 * np.exp(-np.arange(1400) / 300)
    return [
        Spoke((level * pattern + complex_normal(rng, 4, N_SAMPLES)).astype(np.complex64), k, i, 0, NOWHERE)
        for i, level in enumerate(recovery)
    ]


def run(scan, spokes, **settings):
    gadget = SpokeQuality(scan, **settings)
    messages = [m for spoke in spokes for m in gadget.feed(spoke)]
    messages += gadget.feed(SliceEnd(0, NOWHERE))
    assert messages[-1] == SliceEnd(0, NOWHERE)
    return messages[:-1]


def changed(spokes, which, change):
    return [replace(s, data=change(s.data).astype(np.complex64)) if i in which else s for i, s in enumerate(spokes)]


def test_good_spokes_are_passed_on_as_they_are(scan, spokes, caplog):
    passed = run(scan, spokes)
    assert len(passed) == 1400
    assert all(a is b for a, b in zip(passed, spokes, strict=True))
    assert scan.integrity.counts(0) == {}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_spoke_waits_for_at_most_sixteen_later_ones(scan, spokes):
    gadget = SpokeQuality(scan)
    passed = 0
    for n, spoke in enumerate(spokes[:200], start=1):
        passed += len(list(gadget.feed(spoke)))
        assert n - passed <= 24 if passed == 0 else n - passed < 16


def spike(data):
    data = data.copy()
    data[2, 60] = 300
    return data


FAULTS = {
    "spikes": spike,
    "empty": np.zeros_like,
    "unlike_neighbours": np.negative,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_does_not_belong_is_left_out_counted_and_warned_of(scan, spokes, caplog, kind):
    which = {0, 1, 40, 599, 700, 701, 1398, 1399}
    passed = run(scan, changed(spokes, which, FAULTS[kind]))
    assert [spoke.index for spoke in passed] == [i for i in range(1400) if i not in which]
    assert scan.integrity.counts(0) == {kind: 8}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("Slice 1: 8 of 1400 spokes were left out: 8 ")


def test_strict_refuses_them_in_a_sentence(scan, spokes):
    with pytest.raises(ScanError, match=r"^Slice 1: 1 of 1400 spokes are left out: 1 with spikes .* strict\.$"):
        run(replace(scan, integrity=IntegrityLedger(strict=True)), changed(spokes, {77}, spike))


def test_too_many_are_refused_together_with_missing_ones(scan, spokes):
    which = set(range(300, 1300, 10))
    del spokes[1399], spokes[1350:1390]
    run(scan, changed(spokes, which, np.negative), max_missing=0.11)
    with pytest.raises(ScanError, match=r"^Slice 1: 141 of 1400 spokes are missing or unusable .* more than the 10% "):
        run(scan, changed(spokes, which, np.negative), max_missing=0.1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_samples_are_brought_near_one_in_all_slices_alike(scan, spokes, scale):
    extreme = changed(spokes, range(1400), lambda data: data * np.float32(scale))
    gadget = SpokeQuality(scan)
    slices = []
    for level in (1, np.float32(1000)):
        messages = [m for s in extreme for m in gadget.feed(replace(s, data=s.data * level))]
        messages += gadget.feed(SliceEnd(0, NOWHERE))
        slices.append(np.stack([m.data for m in messages[:-1]]))
    assert 0.1 < np.abs(slices[0]).max() < 10
    np.testing.assert_allclose(slices[1] / slices[0], 1000, rtol=1e-5)
    assert scan.provenance["scale"].startswith("samples times 2^")


def test_jumps_are_warned_of_with_the_channel_as_received(scan, spokes, caplog):
    def without_channel_2(data):
        data = data.copy()
        data[1] = 0.5
        return data

    mixing = np.array([[1, 0, 0, 0], [0.5, 1, 0, 0], [0.5, 2, 1, 0], [0, -1, 0, 1]], np.complex64)
    mixed = changed(changed(spokes, range(900, 1000), without_channel_2), range(1400), lambda data: mixing @ data)
    inverse = np.linalg.inv(mixing)
    run(scan, mixed, as_received=lambda samples: inverse @ samples)
    coil = [record.getMessage() for record in caplog.records if "channel" in record.getMessage()]
    assert len(coil) == 1
    assert "the signal of channel 2 suddenly changes" in coil[0]
    assert scan.integrity.counts(0)["coil_jumps"] == 1


def test_a_change_of_gain_is_warned_of(scan, spokes, caplog):
    run(scan, changed(spokes, range(900, 1000), lambda data: 3 * data))
    assert "suddenly changes by a factor of" in caplog.text
    assert scan.integrity.counts(0)["gain_jumps"] == 1


@pytest.fixture
def constant_pulses(scan, spokes, tmp_path):
    """A scan of constant pulses without inversion, and its spokes in white matter."""
    file = tmp_path / "constant.toml"
    file.write_text(
        "ti_ms = 0.0\nrecovery_ms = 0.0\nrepetitions = 1\nspokes_per_frame = 1\nspoiling = 'gradient'\n"
        "inversion = false\nte_ms = 2.0\ntr_ms = 12.0\nflip_angle_deg = 10.0\n[[train]]\nspokes = 200\n"
    )
    scan = replace(scan, sequence=load_sequence(str(file)))
    signal = fingerprint(scan.sequence, 900.0, 75.0)
    data = spokes[-1].data / signal[0]
    return scan, [
        replace(spoke, data=(level * data).astype(np.complex64))
        for spoke, level in zip(spokes[:200], signal, strict=True)
    ]


def test_the_start_up_of_a_train_is_no_jump_of_the_receiver(constant_pulses, caplog):
    scan, spokes = constant_pulses
    assert len(run(scan, spokes)) == 200
    assert not caplog.records
    run(scan, changed(spokes, range(100, 200), lambda data: 1.5 * data))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "the signal suddenly changes by a factor of 1.5 near spoke" in warning
