"""Every flag and every counter of a readout does what the tables say."""

import logging

import ismrmrd
import numpy as np
import pytest
from readout_stream import readouts, run

from spokestream.errors import ScanError
from spokestream.gadgets.messages import LeftOut
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.readouts.counters import COUNTERS, DISTINGUISHING
from spokestream.gadgets.readouts.flags import FLAGS, FlagEffect
from spokestream.simulator.physics.trajectory import golden_angles

CENTER = 19


@pytest.fixture
def stream(rng):
    return readouts(rng, center=CENTER)


@pytest.mark.parametrize("number", FLAGS)
def test_what_a_flag_does_with_a_readout_of_the_stream(scan, stream, caplog, number):
    name, effect = FLAGS[number]
    stream[76].set_flag(number)
    with caplog.at_level(logging.WARNING):
        spokes, _ = run(scan, stream)
    indices = {spoke.index for spoke in spokes}
    expected = set(range(80))
    if effect in (FlagEffect.NOISE, FlagEffect.LEFT_OUT):
        expected -= {76}
    if effect is FlagEffect.ENDS_SLICE:
        expected -= {77, 78, 79}
    assert indices == expected
    assert (f"without a meaning, which were ignored: {name}." in caplog.text) == (effect is FlagEffect.WARNS)
    if 76 in expected:
        (spoke,) = (spoke for spoke in spokes if spoke.index == 76)
        sign = -1 if effect is FlagEffect.REVERSED else 1
        direction = np.array([np.cos(golden_angles(76)), np.sin(golden_angles(76)) * 23 / 19])
        np.testing.assert_allclose(spoke.k[CENTER + 4], sign * 2 * direction, atol=1e-5)


def test_noise_is_the_only_effect_that_whitening_takes_out(scan, stream):
    for number, (_, effect) in FLAGS.items():
        gadget = NoiseWhitening(scan)
        stream[0].clearAllFlags()
        stream[0].set_flag(number)
        (out,) = gadget.feed(stream[0])
        assert isinstance(out, LeftOut) == (effect is FlagEffect.NOISE)


def test_the_table_names_every_flag_of_ismrmrd():
    named = {getattr(ismrmrd, name): name for name in dir(ismrmrd) if name.startswith("ACQ_")}
    assert {number: name for number, (name, _) in FLAGS.items() if number in named} == named
    assert list(FLAGS) == list(range(1, 65))


def test_the_table_names_every_counter():
    assert {name for name, _ in ismrmrd.EncodingCounters._fields_} == set(COUNTERS)


@pytest.mark.parametrize("name", DISTINGUISHING)
def test_a_second_measurement_of_a_spoke_is_refused_by_the_name_of_its_counter(scan, stream, name):
    twice = ismrmrd.Acquisition(stream[3].getHead(), stream[3].data)
    setattr(twice.idx, name, 1)
    with pytest.raises(ScanError, match=rf"Spoke 3 of slice 1 was measured several times \({name} 0 and 1\)"):
        run(scan, [*stream[:4], twice, *stream[4:]])


@pytest.mark.parametrize("name", [*DISTINGUISHING, "segment"])
def test_a_counter_that_numbers_groups_of_different_spokes_changes_nothing(scan, stream, name):
    for i, readout in enumerate(stream):
        setattr(readout.idx, name, i // 20)
    spokes, _ = run(scan, stream)
    assert len(spokes) == 80
    assert scan.integrity.counts(0) == {}


def test_a_later_measurement_of_a_slice_is_left_out_with_a_warning_that_names_its_counter(scan, stream, caplog):
    with caplog.at_level(logging.WARNING):
        spokes, ends = run(scan, stream + later(stream))
    assert (len(spokes), len(ends)) == (80, 1)
    assert "80 spokes were left out because they measure a slice again (repetition 0 and 1)" in caplog.text


def test_a_partition_of_a_3d_scan_is_refused(scan, stream):
    stream[2].idx.kspace_encode_step_2 = 5
    with pytest.raises(ScanError, match="partition 5 of a 3-D scan"):
        run(scan, stream)


def test_an_encoding_that_the_header_does_not_have_gives_a_warning(scan, stream, caplog):
    for readout in stream:
        readout.encoding_space_ref = 1
    with caplog.at_level(logging.WARNING):
        run(scan, stream)
    assert "80 spokes name an encoding that the header does not have; its encoding 1 was used" in caplog.text


def later(stream, repetition=1):
    """The same readouts of another repetition."""
    again = [ismrmrd.Acquisition(r.getHead(), r.data) for r in stream]
    for readout in again:
        readout.idx.repetition = repetition
    return again


def test_another_measurement_does_not_fill_the_gaps_of_the_first(scan, stream, caplog):
    with caplog.at_level(logging.WARNING):
        spokes, ends = run(scan, stream[5:] + later(stream))
    assert [spoke.index for spoke in spokes] == list(range(5, 80))
    assert len(ends) == 1
    assert scan.integrity.counts(0)["missing"] == 5
    assert "80 spokes were left out because they measure a slice again" in caplog.text


def test_another_measurement_is_left_out_although_the_first_has_lost_a_spoke(scan, stream):
    spokes, _ = run(scan, stream[:40] + stream[41:] + later(stream))
    assert len(spokes) == 79


def test_another_measurement_after_half_of_the_first_is_refused(scan, stream):
    with pytest.raises(ScanError, match=r"measured several times \(repetition 0 and 1\)"):
        run(scan, stream[10:50] + later(stream))


@pytest.mark.parametrize("name", ["contrast", "repetition"])
def test_spokes_out_of_order_at_the_border_of_two_groups_stay_in_the_slice(scan, stream, name):
    for i, readout in enumerate(stream):
        setattr(readout.idx, name, i // 20)
    stream[19], stream[21] = stream[21], stream[19]
    spokes, _ = run(scan, stream)
    assert len(spokes) == 80


@pytest.mark.parametrize("name", ["contrast", "phase", "set"])
@pytest.mark.parametrize("number", [lambda i: i % 2, lambda i: i, lambda i: -i // 20 + 4])
def test_spokes_that_are_sorted_by_a_counter_stay_in_the_slice(scan, stream, name, number):
    for i, readout in enumerate(stream):
        setattr(readout.idx, name, number(i))
    stream[10], stream[11] = stream[11], stream[10]
    spokes, _ = run(scan, sorted(stream, key=lambda readout: getattr(readout.idx, name)))
    assert len(spokes) == 80


def test_many_measurements_give_one_warning(scan, stream, caplog):
    others = [later(stream[:1], repetition)[0] for repetition in range(1, 50)]
    with caplog.at_level(logging.WARNING):
        run(scan, stream + others)
    (warning,) = [r.getMessage() for r in caplog.records if "again" in r.getMessage()]
    assert "49 spokes were left out" in warning
    assert "and 48 others" in warning


def test_another_number_of_coils_in_the_next_slice_is_refused(scan, stream):
    second = [ismrmrd.Acquisition.from_array(r.data[:2]) for r in stream]
    for readout, like in zip(second, stream, strict=True):
        readout.idx.kspace_encode_step_1, readout.idx.slice = like.idx.kspace_encode_step_1, 1
    with pytest.raises(ScanError, match="Slice 2 has 2 coils and the slices before have 3"):
        run(scan, stream + second)


def test_a_readout_that_was_taken_out_of_the_stream_leaves_no_gap(scan, stream):
    gadget = Readout(scan)
    for message in (*stream[:3], LeftOut(3), *stream[4:]):
        list(gadget.feed(message))
    list(gadget.finish())
    assert scan.integrity.counts(0) == {"missing": 1}
