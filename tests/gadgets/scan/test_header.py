"""Headers that are accepted, and headers that are refused."""

import numpy as np
import pytest

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.simulator.physics.sequences.loading import load_sequence, preset_names
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.scan_files.protocol import Protocol, header_xml


def header(sequence="", user="", matrix="<x>19</x><y>23</y><z>1</z>"):
    space = f"<matrixSize>{matrix}</matrixSize><fieldOfView_mm><x>190</x><y>230</y><z>8</z></fieldOfView_mm>"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><vendorThing><deep/></vendorThing>'
        f"<encoding><encodedSpace>{space}</encodedSpace><reconSpace>{space}</reconSpace>"
        f"<trajectory>radial</trajectory></encoding><sequenceParameters>{sequence}</sequenceParameters>"
        f"<userParameters>{user}</userParameters></ismrmrdHeader>"
    )


def user(name, value):
    return f"<userParameterString><name>{name}</name><value>{value}</value></userParameterString>"


def trains(n=80, te=2.39):
    return "".join(f"<TR>{te + 60}</TR><TE>{te}</TE><flipAngle_deg>5</flipAngle_deg>" for _ in range(n))


def read(**parts):
    return sequence_from_header(ScanHeader.from_xml(header(**parts))).sequence


def test_without_trains_the_default_or_the_named_preset():
    assert read().difference(load_sequence("t1ff-2d-1400")) is None
    assert read(user=user("mrf_sequence", "t1ff-2d-1400-adj")).tr_ms[0] == 4.02


def test_trains_win_over_the_preset_and_complete_ones_need_none():
    sequence = read(sequence=trains(), user=user("mrf_sequence", "of our own") + user("mrf_repetitions", 1))
    assert (len(sequence), sequence.name, sequence.repetitions) == (80, "of our own", 1)
    assert sequence.ti_ms == 8.32


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"user": user("mrf_sequence", "/etc/secret.toml")}, "without its trains; known are .*t1ff-2d-1400"),
        ({"sequence": trains() + "<TE>3</TE>"}, "differ in length"),
        ({"sequence": trains(20001)}, "more than 20000"),
        ({"sequence": trains(), "user": user("mrf_repetitions", "1e9")}, "more than 10 repetitions"),
        ({"sequence": trains(), "user": user("mrf_repetitions", "inf")}, "impossible"),
        ({"sequence": trains(), "user": user("mrf_recovery_ms", "soon")}, "impossible"),
        ({"sequence": trains(te=-1)}, "impossible"),
        ({"sequence": "<TE>fast</TE>"}, "unreadable value"),
        ({"matrix": "<x>60000</x><y>60000</y><z>1</z>"}, "larger than 1024"),
        ({"matrix": "<x>0</x><y>23</y><z>1</z>"}, "not positive"),
        ({"matrix": "<x>19</x>"}, "unreadable value"),
    ],
)
def test_impossible_headers_are_refused_in_a_sentence(parts, sentence):
    with pytest.raises(ScanError, match=sentence):
        read(**parts)


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        ("", "well-formed"),
        ("<a/>", "root element is <a>"),
        ("<ismrmrdHeader/>", "no <encoding>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
    ],
)
def test_other_documents_are_refused_in_a_sentence(xml, sentence):
    with pytest.raises(ScanError, match=sentence):
        ScanHeader.from_xml(xml)


def test_recovery_and_repetitions_complete_a_preset_and_a_single_echo_time_is_no_train():
    sequence = read(
        sequence="<TE>2.39</TE><TI>10</TI>", user=user("mrf_recovery_ms", 3000) + user("mrf_repetitions", 1)
    )
    assert (sequence.recovery_ms, sequence.repetitions, sequence.ti_ms) == (3000, 1, 10)
    assert (sequence.te_ms == load_sequence("t1ff-2d-1400").te_ms).all()


def test_a_field_of_view_that_would_send_spokes_to_infinity_is_refused():
    xml = header().replace("<x>190</x>", "<x>1e-42</x>", 1)
    with pytest.raises(ScanError, match="oversampling"):
        ScanHeader.from_xml(xml)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_the_header_of_a_simulated_scan(name):
    sequence = load_sequence(name)
    header = ScanHeader.from_xml(header_xml(Protocol(sequence=sequence, matrix=16, n_coils=2)))
    assert sequence_from_header(header).sequence.difference(sequence) is None


def test_a_train_of_one_s_own_survives_it_too():
    te = np.full(30, 2.5)
    sequence = PulseSequence(
        "own", np.full(30, 9.0), te, te + 3, ti_ms=12.0, recovery_ms=100.0, repetitions=1, spokes_per_frame=5,
        spoiling="gradient", inversion=False,
    )  # fmt: skip
    header = ScanHeader.from_xml(header_xml(Protocol(sequence=sequence, matrix=16, n_coils=2)))
    assert sequence_from_header(header).sequence.difference(sequence) is None
