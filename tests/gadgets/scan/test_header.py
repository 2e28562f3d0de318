"""Headers that are accepted, and headers that are refused."""

import shutil
import struct
import subprocess

import numpy as np
import pytest

from spokestream.errors import InputError, ScanError
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
        (
            {"sequence": trains(), "user": user("mrf_spokes_per_frame", "1e8")},
            "1e.08 spokes per frame in a train of 80",
        ),
        ({"sequence": trains(), "user": user("mrf_spokes_per_frame", "81")}, "81 spokes per frame in a train of 80"),
        (
            {"sequence": trains(4001), "user": user("mrf_spokes_per_frame", "1")},
            "4001 frames of 1 spokes, more than 4000",
        ),
        ({"sequence": trains(5001), "user": user("mrf_spoiling", "gradient")}, "more than 5000 with gradient spoiling"),
        ({"sequence": trains(), "user": user("mrf_repetitions", "1e9")}, "more than 10 repetitions"),
        ({"sequence": trains(), "user": user("mrf_repetitions", "inf")}, "impossible"),
        ({"sequence": trains(), "user": user("mrf_recovery_ms", "soon")}, "impossible"),
        ({"sequence": trains(), "user": user("mrf_rf_phase_deg", "0 50 150")}, "one number for each of 80 spokes"),
        ({"sequence": trains(), "user": user("mrf_rf_phase_deg", "0 x " * 40)}, "one number for each of 80 spokes"),
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
        spoiling="gradient", inversion=False, rf_phase_deg=np.arange(30.0) ** 2 * 25,
    )  # fmt: skip
    header = ScanHeader.from_xml(header_xml(Protocol(sequence=sequence, matrix=16, n_coils=2)))
    assert sequence_from_header(header).sequence.difference(sequence) is None


PRESET = "t1ff-2d-1400"


def preset_trains(name=PRESET, tags=("TR", "TE", "flipAngle_deg"), scale=1.0):
    preset = load_sequence(name)
    values = {"TR": preset.tr_ms, "TE": preset.te_ms, "flipAngle_deg": preset.flip_angle_deg}
    return "".join(f"<{tag}>{v * scale:.9g}</{tag}>" for tag in tags for v in values[tag])


def found(chosen=None, **parts):
    return sequence_from_header(ScanHeader.from_xml(header(**parts)), chosen)


@pytest.mark.parametrize("preset", [PRESET, "t1ff-2d-1400-adj"])
def test_missing_flip_angles_are_those_of_the_preset_whose_trains_agree(preset):
    result = found(sequence=preset_trains(preset, ("TR", "TE")))
    assert (result.sequence.flip_angle_deg == load_sequence(preset).flip_angle_deg).all()
    assert result.source == f"header, completed from '{preset}'"


def test_missing_flip_angles_are_refused_if_no_preset_agrees():
    with pytest.raises(ScanError, match="no flip_angle_deg for them, and no preset has the same other trains"):
        found(sequence=preset_trains(tags=("TR", "TE"), scale=1.1))
    with pytest.raises(ScanError, match="the preset 't1ff-2d-1400-adj' has"):
        found(sequence=preset_trains(tags=("TR", "TE")), user=user("mrf_sequence", "t1ff-2d-1400-adj"))


CONTRASTS = "<TR>3.52</TR><TE>1.92</TE><TE>2.46</TE><TE>3</TE><flipAngle_deg>10</flipAngle_deg>"


def test_echo_times_of_contrasts_are_no_train():
    with pytest.raises(ScanError, match=r"are no trains \(3 te_ms, 1 tr_ms, 1 flip_angle_deg\)"):
        found(sequence=CONTRASTS)
    result = found(PRESET, sequence=CONTRASTS)
    assert result.sequence.difference(load_sequence(PRESET)) is None
    assert len(result.warnings) == 1
    result = found(sequence=CONTRASTS, user=user("mrf_sequence", "t1ff-2d-1400-adj"))
    assert result.sequence.difference(load_sequence("t1ff-2d-1400-adj")) is None


def test_a_chosen_sequence_wins_over_the_header_with_a_warning_if_they_differ():
    result = found("t1ff-2d-1400-adj", sequence=preset_trains())
    assert result.sequence.difference(load_sequence("t1ff-2d-1400-adj")) is None
    (warning,) = result.warnings
    assert "differs from that of the header, and is used: tr_ms of spoke 0 is 4.02 ms against 3.52 ms" in warning
    assert found(PRESET, sequence=preset_trains()).warnings == ()
    with pytest.raises(InputError, match="no sequence preset 'misspelt'"):
        found("misspelt", sequence=preset_trains())


def test_a_header_that_contradicts_the_preset_it_names_gives_a_warning():
    named = user("mrf_sequence", PRESET)
    assert found(sequence=preset_trains(), user=named).warnings == ()
    assert found(sequence=preset_trains(), user=named + user("mrf_spokes_per_frame", 4)).warnings == ()
    for contradiction in (preset_trains() + "<TI>83.2</TI>", "<TI>83.2</TI>"):
        result = found(sequence=contradiction, user=named)
        assert result.sequence.ti_ms == np.float32("83.2")
        (warning,) = result.warnings
        assert (
            "names the sequence 't1ff-2d-1400' but gives other values, which are used: ti_ms is 8.32 against 83.2"
            in (warning)
        )


def test_one_flip_angle_for_all_spokes_gives_a_warning():
    result = found(sequence=preset_trains(tags=("TR", "TE")) + "<flipAngle_deg>7</flipAngle_deg>")
    assert set(result.sequence.flip_angle_deg) == {7}
    assert any("one flip angle, 7°, for all 1400 spokes" in warning for warning in result.warnings)


def test_an_assumed_sequence_and_assumed_values_give_a_warning():
    assert "'t1ff-2d-1400' is assumed" in found().warnings[0]
    (warning,) = found(sequence=trains(), user=user("mrf_repetitions", 1)).warnings
    assert "does not give recovery_ms, ti_ms; assumed from 't1ff-2d-1400'" in warning
    assert found(sequence=preset_trains()).warnings == ()


@pytest.mark.parametrize(
    ("sequence", "sentence"),
    [
        (preset_trains(scale=1e-3), r"te_ms is 0\.00\d+ ms; is it in s"),
        (preset_trains(tags=("TR", "TE")) + preset_trains(tags=("flipAngle_deg",), scale=np.pi / 180), "in radians"),
        (preset_trains(tags=("TR", "TE")) + preset_trains(tags=("flipAngle_deg",), scale=30), "degrees"),
        (preset_trains() + "<TI>0.008</TI>", r"ti_ms is 0\.008 ms; is it in s"),
        (preset_trains().replace("<TR>3.52</TR>", "<TR>1e308</TR>", 1), "tr_ms is 1e"),
        (preset_trains().replace("<TE>", "<TE>-", 1), "te_ms is -"),
        (preset_trains().replace("<TR>3.52</TR>", "<TR>nan</TR>", 1), "tr_ms is nan"),
    ],
)
def test_trains_in_other_units_and_absurd_values_are_refused(sequence, sentence):
    with pytest.raises(ScanError, match=sentence):
        found(sequence=sequence)


@pytest.mark.parametrize(
    ("matrix", "expected"), [("192.0 192.0 1.0", (192, 192, 1)), ("35.9996 36 0.9996", (36, 36, 1))]
)
def test_matrices_that_are_nearly_whole_are_whole(matrix, expected):
    x, y, z = matrix.split()
    read_back = ScanHeader.from_xml(header(matrix=f"<x>{x}</x><y>{y}</y><z>{z}</z>"))
    assert read_back.recon_matrix == read_back.encoded_matrix == expected


def system(name, value):
    inside = f"<{name}>{value}</{name}>"
    return f"<acquisitionSystemInformation>{inside}</acquisitionSystemInformation><vendorThing>"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("<x>19</x>", "<x>19.4</x>", "19.4 is no whole number"),
        ("<x>19</x>", "<x>1e308</x>", "no whole number"),
        ("<x>190</x><y>230</y>", "<x>0.19</x><y>0.23</y>", "0.19 by 0.23 mm in the header; is it in another unit"),
        ("<x>190</x>", "<x>nan</x>", "not positive"),
        (
            "<trajectory>",
            "<encodingLimits><slice><maximum>65535</maximum></slice></encodingLimits><trajectory>",
            "65536 slices",
        ),
        ("<vendorThing>", system("receiverChannels", -3), "-3 receiver"),
        ("<vendorThing>", system("systemFieldStrength_T", -3), "field strength is -3 T"),
        ("<vendorThing>", system("relativeReceiverNoiseBandwidth", "nan"), "Bandwidth is nan"),
    ],
)
def test_absurd_values_are_refused_in_a_sentence(old, new, sentence):
    with pytest.raises(ScanError, match=sentence):
        ScanHeader.from_xml(header().replace(old, new))


def test_the_second_encoding_can_be_read():
    xml = header()
    begin, end = xml.index("<encoding>"), xml.index("</encoding>") + len("</encoding>")
    second = xml[begin:end].replace("<x>19</x>", "<x>20</x>")
    both = xml[:end] + second + xml[end:]
    assert ScanHeader.from_xml(both).recon_matrix[0] == 19
    chosen = ScanHeader.from_xml(both, 1)
    assert (chosen.recon_matrix[0], chosen.encoding, chosen.n_encodings) == (20, 1, 2)
    with pytest.raises(ScanError, match="name encoding 3, but the header has 2"):
        ScanHeader.from_xml(both, 2)


def test_a_field_strength_of_zero_was_never_filled_in():
    xml = header().replace(
        "<vendorThing>",
        "<acquisitionSystemInformation><systemFieldStrength_T>0</systemFieldStrength_T></acquisitionSystemInformation>"
        "<experimentalConditions><H1resonanceFrequency_Hz>123200000</H1resonanceFrequency_Hz></experimentalConditions>"
        "<vendorThing>",
    )
    read_back = ScanHeader.from_xml(xml)
    assert (read_back.field_strength_t, read_back.proton_frequency_hz) == (None, 123.2e6)


def test_numbers_are_those_in_single_precision_that_gadgetron_keeps_and_writes():
    def read_numbers(tr, tesla, fov):
        xml = header(sequence=f"<TR>{tr}</TR><TE>{tesla}</TE><TI>{tr}</TI><flipAngle_deg>{tr}</flipAngle_deg>")
        system = f"<acquisitionSystemInformation><systemFieldStrength_T>{tesla}</systemFieldStrength_T>"
        system += f"<relativeReceiverNoiseBandwidth>{tesla}</relativeReceiverNoiseBandwidth>"
        xml = xml.replace("<encoding>", f"{system}</acquisitionSystemInformation><encoding>")
        found = ScanHeader.from_xml(xml.replace("<x>190</x>", f"<x>{fov}</x>"))
        return (
            *found.tr_ms, *found.te_ms, *found.ti_ms, *found.flip_angle_deg, found.field_strength_t,
            found.noise_bandwidth, found.recon_fov_mm[0], found.encoded_fov_mm[0],
        )  # fmt: skip

    here = read_numbers("3.52", "2.89", "350.1")
    assert here == read_numbers("3.51999998", "2.8900001", "350.100006")
    assert here == tuple(
        struct.unpack("<f", struct.pack("<f", value))[0] for value in (3.52, 2.89, 3.52, 3.52, 2.89, 2.89, 350.1, 350.1)
    )
    assert here[0] != 3.52


@pytest.mark.skipif(not shutil.which("ismrmrd_test_xml"), reason="needs ismrmrd_test_xml, of Debian's ismrmrd-tools")
@pytest.mark.parametrize("sequence", preset_names())
def test_the_tools_of_ismrmrd_accept_the_header_of_every_preset(sequence, tmp_path):
    (tmp_path / "header.xml").write_text(header_xml(Protocol(sequence=load_sequence(sequence), matrix=35, n_coils=3)))
    said = subprocess.run(  # it writes files where it runs
        ["ismrmrd_test_xml", "header.xml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr


def test_the_encodings_of_a_header_share_its_trains():
    first = header(sequence=trains(), user=user("a", "b"))
    one = first[first.index("<encoding>") : first.index("</encoding>") + len("</encoding>")]
    several = first.replace(one, one + one.replace("19", "38").replace("190", "380") + "<encoding/>" + one)
    headers = ScanHeader.every_from_xml(several)
    assert [each.encoding for each in headers] == [0, 1, 3]  # the one without a matrix is left out
    assert [each.recon_matrix[0] for each in headers] == [19, 38, 19]
    for each in headers:
        assert each == ScanHeader.from_xml(several, each.encoding)
        assert each.te_ms is headers[0].te_ms
