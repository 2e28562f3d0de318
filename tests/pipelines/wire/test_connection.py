"""The whole connection: events do not depend on how the stream is cut; faulty bytes raise one kind of error only."""

import struct
import tracemalloc
from itertools import pairwise

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spokestream.pipelines import wire
from spokestream.pipelines.wire import Connection, Limits, RemoteProtocolError, Role, State
from spokestream.pipelines.wire.codec import KIND_BY_ID

QUICK = settings(deadline=None, max_examples=80)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=30)
sizes = st.integers(0, 5)


@st.composite
def acquisitions(draw):
    channels, samples, dims, seed = draw(sizes), draw(sizes), draw(st.integers(0, 3)), draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    data = (rng.normal(size=(channels, samples)) + 1j).astype(np.complex64)
    acquisition = ismrmrd.Acquisition.from_array(data, rng.normal(size=(samples, dims)).astype(np.float32))
    acquisition.scan_counter = draw(st.integers(0, 2**32 - 1))
    return acquisition


@st.composite
def waveforms(draw):
    data = np.arange(draw(sizes) * draw(sizes), dtype=np.uint32)
    return ismrmrd.Waveform.from_array(data.reshape(1, -1), waveform_id=draw(st.integers(0, 9)))


@st.composite
def images(draw):
    dtype = draw(st.sampled_from(["<u2", "<i2", "<u4", "<f4", "<f8", "<c8", "<c16"]))
    shape = tuple(draw(sizes) for _ in range(4))
    meta = draw(st.dictionaries(st.sampled_from(["name", "unit"]), st.sampled_from(["T1", "µs", "", "<&>"])))
    pixels = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    image = ismrmrd.Image(head=ismrmrd.ImageHeader(), data=pixels, meta=ismrmrd.Meta(meta))
    image._head.attribute_string_len = len(image.attribute_string.encode())  # as it will be when written
    return image


datas = st.builds(wire.Data, acquisitions() | waveforms() | images())
chats = st.builds(wire.Text, texts) | st.builds(wire.Query, st.integers(0, 2**64 - 1), texts)
configs = st.builds(wire.ConfigFile, texts) | st.builds(wire.ConfigText, texts)


@st.composite
def sessions(draw):
    """The events that a client may send, in order."""
    return [
        *draw(st.lists(chats, max_size=1)),
        draw(configs),
        *draw(st.lists(chats, max_size=2)),
        wire.Header(draw(texts)),
        *draw(st.lists(datas | chats | st.builds(wire.Dicom, st.binary(max_size=9), texts, texts), max_size=4)),
        wire.Close(),
    ]


def spoken(events, role=Role.CLIENT):
    connection = Connection(role)
    return b"".join(bytes(part) for event in events for part in connection.send(event))


def heard(chunks, role=Role.SERVER, limits=None):
    """All events that were read, and the error that ended the reading, if any."""
    connection = Connection(role, limits)
    events = []
    try:
        for chunk in chunks:
            events += connection.receive_data(chunk)
    except RemoteProtocolError as error:
        return events + error.events, error
    return events, None


def cut(raw, at):
    edges = sorted({0, len(raw), *(i % (len(raw) + 1) for i in at)})
    return [raw[a:b] for a, b in pairwise(edges)]


@QUICK
@given(sessions(), st.lists(st.integers(0, 10**6), max_size=12))
def test_any_chunking_of_a_session_decodes_to_what_was_sent(events, at):
    raw = spoken(events)
    assert heard([*cut(raw, at), b""]) == (events, None)


@settings(deadline=None, max_examples=10)
@given(sessions())
def test_single_bytes_decode_to_what_was_sent(events):
    raw = spoken(events)
    assert heard([raw[i : i + 1] for i in range(len(raw))]) == (events, None)


@QUICK
@given(sessions(), st.integers(0, 10**6))
def test_every_truncation_is_an_error_that_says_where(events, end):
    raw = spoken(events)
    raw = raw[: end % len(raw)]
    understood, error = heard([raw, b""])
    assert understood == events[: len(understood)]
    assert error is not None
    assert "ended without CLOSE" in str(error)
    assert error.message == len(understood)
    assert error.offset <= len(raw)


@settings(deadline=None, max_examples=400)
@given(
    sessions(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.lists(st.integers(0, 10**6), max_size=3),
)
def test_mutations_parse_or_raise_a_remote_protocol_error_alike_however_cut(events, mutations, at):
    raw = bytearray(spoken(events))
    for where, byte in mutations:
        raw[where % len(raw)] = byte
    limits = Limits(body=1 << 16, attributes=1 << 12)
    whole, error = heard([bytes(raw), b""], limits=limits)
    pieces, error_in_pieces = heard([*cut(bytes(raw), at), b""], limits=limits)
    # events may hold NaNs, which are unequal to themselves, so that only the classes are compared
    assert [type(event) for event in whole] == [type(event) for event in pieces]
    if error is None or error_in_pieces is None:
        assert error is error_in_pieces
    elif "CLOSE" not in str(error):
        assert str(error) == str(error_in_pieces)


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=1, max_size=300), st.sampled_from(Role))
def test_noise_never_raises_anything_else(noise, role):
    heard([noise, b""], role)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(KIND_BY_ID)), st.binary(max_size=900), st.sampled_from([Role.SERVER, Role.CLIENT]))
def test_noise_behind_a_legal_id_never_raises_anything_else(message_id, noise, role):
    opening = spoken([wire.ConfigFile("a"), wire.Header("b")]) if role is Role.SERVER else b""
    heard([opening + struct.pack("<H", message_id) + noise, b""], role, Limits(body=1 << 20))


def big(header, **fields):
    for name, value in fields.items():
        setattr(header, name, value)
    return bytes(header)


OVERSIZE = {
    "text": (Role.CLIENT, struct.pack("<HI", 5, 2**32 - 1)),
    "response": (Role.CLIENT, struct.pack("<HQQ", 7, 1, 2**63)),
    "error": (Role.PARENT, struct.pack("<HQ", 8, 2**64 - 1)),
    "dependency reply": (Role.CLIENT, struct.pack("<HQ", 1019, 2**62)),
    "DICOM": (Role.CLIENT, struct.pack("<HI", 1012, 2**32 - 1)),
    "acquisition": (
        Role.CLIENT,
        struct.pack("<H", 1008) + big(ismrmrd.AcquisitionHeader(), number_of_samples=65535, active_channels=1024),
    ),
    "trajectory": (
        Role.CLIENT,
        struct.pack("<H", 1008)
        + big(ismrmrd.AcquisitionHeader(), number_of_samples=65535, trajectory_dimensions=65535),
    ),
    "waveform": (
        Role.CLIENT,
        struct.pack("<H", 1026) + big(ismrmrd.WaveformHeader(), number_of_samples=65535, channels=65535),
    ),
    "image": (
        Role.CLIENT,
        struct.pack("<H", 1022) + big(ismrmrd.ImageHeader(), matrix_size=(65535,) * 3, channels=65535, data_type=8),
    ),
    "attributes": (
        Role.CLIENT,
        struct.pack("<H", 1022) + big(ismrmrd.ImageHeader(), data_type=5) + struct.pack("<Q", 2**63),
    ),
}


@pytest.mark.parametrize("what", OVERSIZE)
def test_oversize_lengths_are_refused_before_allocation(what):
    role, raw = OVERSIZE[what]
    connection = Connection(role)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="beyond the limit"):
            connection.receive_data(raw)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_length_within_the_limit_passes_and_one_more_does_not():
    limits = Limits(text=5)
    assert heard([struct.pack("<HI", 5, 5) + b"abcde"], Role.CLIENT, limits) == ([wire.Text("abcde")], None)
    assert "beyond the limit of 5" in str(heard([struct.pack("<HI", 5, 6)], Role.CLIENT, limits)[1])


def test_events_before_a_fault_are_not_lost():
    raw = spoken([wire.ConfigFile("a"), wire.Header("b"), wire.Text("c")]) + struct.pack("<H", 999)
    events, error = heard([raw])
    assert [type(event) for event in events] == [wire.ConfigFile, wire.Header, wire.Text]
    assert str(error) == f"999 is no message id (message 3, byte {len(raw)})"


@pytest.mark.parametrize(
    ("said", "number", "complaint"),
    [
        ([], 3, "does not send HEADER before the configuration"),
        ([wire.ConfigFile("a")], 1008, "does not send ACQUISITION before the header"),
        ([wire.ConfigFile("a"), wire.Header("b")], 3, "does not send HEADER after the header"),
        ([wire.ConfigFile("a"), wire.Header("b")], 1, "does not send CONFIG_FILE after the header"),
        ([wire.ConfigFile("a"), wire.Header("b")], 7, "does not send RESPONSE"),
        ([wire.ConfigFile("a"), wire.Header("b")], 1023, "A RECONDATA (id 1023) has no place"),
        ([wire.ConfigFile("a"), wire.Header("b")], 1030, "NDARRAY"),
        ([wire.ConfigFile("a"), wire.Header("b")], 1013, "CLOUD_JOB"),
    ],
)
def test_messages_out_of_place_are_refused_by_their_id_alone(said, number, complaint):
    _, error = heard([spoken(said) + struct.pack("<H", number)])
    assert complaint in str(error)


def test_close_before_the_header_is_legal_and_visible():
    events, error = heard([spoken([wire.ConfigText("<x/>"), wire.Close()]), b""])
    assert (events, error) == ([wire.ConfigText("<x/>"), wire.Close()], None)


def test_nothing_follows_close_and_nothing_follows_an_error():
    connection = Connection(Role.SERVER)
    connection.receive_data(spoken([wire.Close()]))
    assert connection.receive_data(b"") == []
    with pytest.raises(RemoteProtocolError, match="came after CLOSE"):
        connection.receive_data(b"x")
    with pytest.raises(RemoteProtocolError, match="after an error"):
        connection.receive_data(b"x")
    assert connection.their_state is State.ERROR
    connection.send(wire.Text("the peer can still be told"))


@pytest.mark.parametrize(
    ("role", "event"),
    [
        (Role.SERVER, wire.ErrorText("kills clients")),
        (Role.SERVER, wire.ConfigFile("a")),
        (Role.CHILD, wire.Text("kills Gadgetron")),
        (Role.CHILD, wire.Header("a")),
        (Role.CLIENT, wire.Header("before the configuration")),
        (Role.CLIENT, wire.Response(1, "a")),
        (Role.PARENT, wire.Query(1, "a")),
    ],
)
def test_what_a_role_must_not_say(role, event):
    connection = Connection(role)
    before = connection.our_state
    with pytest.raises(wire.LocalProtocolError, match=f"A {role.name} cannot send"):
        connection.send(event)
    assert connection.our_state is before


def test_a_child_tells_its_parent_of_an_error():
    child, parent = Connection(Role.CHILD), Connection(Role.PARENT)
    raw = b"".join(map(bytes, [*child.send(wire.ErrorText("no spokes")), *child.send(wire.Close())]))
    assert raw[:10] == struct.pack("<HQ", 8, 9)
    assert parent.receive_data(raw) == [wire.ErrorText("no spokes"), wire.Close()]


def test_a_server_answers_before_it_has_read_anything():
    server, client = Connection(Role.SERVER), Connection(Role.CLIENT)
    said = [wire.Response(9, "1.0"), wire.Text("ERROR ä\n"), wire.DependencyReply("<m/>"), wire.Close()]
    raw = b"".join(bytes(part) for event in said for part in server.send(event))
    assert client.receive_data(raw) == said


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_come_in_portions_if_the_caller_says_so(size):
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER, most_events=3)
    said = [wire.Text(str(i)) for i in range(10)] + [wire.ConfigFile("a"), wire.Header("<a/>"), wire.Close()]
    stream = b"".join(bytes(part) for event in said for part in client.send(event))
    heard = []
    for start in range(0, len(stream), size):
        portions = [server.receive_data(stream[start : start + size])]
        while server.has_more:
            portions.append(server.more())
        assert all(len(portion) <= 3 for portion in portions)
        heard += [event for portion in portions for event in portion]
    assert heard == said
