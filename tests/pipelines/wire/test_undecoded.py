"""A connection that does not decode passes acquisitions and waveforms on as they came, after the same checks."""

import struct

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.wire import Connection, RemoteProtocolError, Role

OPENING = wire.ConfigFile("a"), wire.Header("<a/>")


def connection(**how):
    server, client = Connection(Role.SERVER, **how), Connection(Role.CLIENT)
    for event in OPENING:
        server.receive_data(b"".join(client.send(event)))
    return server


def messages():
    """An acquisition with a trajectory, a waveform, and an acquisition without samples."""
    client = Connection(Role.CLIENT)
    for event in OPENING:
        client.send(event)
    samples = np.arange(6, dtype=np.complex64).reshape(2, 3)
    trajectory = np.arange(6, dtype=np.float32).reshape(3, 2)
    items = (
        ismrmrd.Acquisition.from_array(samples, trajectory),
        ismrmrd.Waveform.from_array(np.arange(4, dtype=np.uint32).reshape(1, 4)),
        ismrmrd.Acquisition(ismrmrd.AcquisitionHeader()),
    )
    return [b"".join(client.send(wire.Data(item))) for item in items]


@pytest.mark.parametrize("size", [1, 7, 400, 1 << 20])
def test_messages_are_passed_on_byte_for_byte_however_the_stream_is_cut(size):
    server, stream, events = connection(decodes=False), b"".join(messages()), []
    for start in range(0, len(stream), size):
        received = server.receive_data(stream[start : start + size])
        events += [(type(event), type(event.header), b"".join(event.message)) for event in received]
    acquisition, waveform = ismrmrd.AcquisitionHeader, ismrmrd.WaveformHeader
    assert [header for _, header, _ in events] == [acquisition, waveform, acquisition]
    assert {kind for kind, _, _ in events} == {wire.Undecoded}
    assert [message for _, _, message in events] == messages()


def test_a_message_in_one_chunk_shares_its_memory():
    message = messages()[0]
    (event,) = connection(decodes=False).receive_data(message)
    assert event.message[1].obj is message


@pytest.mark.parametrize(
    ("field", "value"), [("active_channels", 1025), ("flags", 1 << 52), ("number_of_samples", 65_535)]
)
def test_refusals_are_those_of_a_connection_that_decodes(field, value):
    header = ismrmrd.AcquisitionHeader(active_channels=1000, number_of_samples=1)
    setattr(header, field, value)
    said = []
    for decodes in (True, False):
        with pytest.raises(RemoteProtocolError) as caught:
            connection(decodes=decodes).receive_data(b"\xf0\x03" + bytes(header))
        said.append((str(caught.value), caught.value.message, caught.value.offset))
    assert said[0] == said[1]


@pytest.mark.parametrize("size", [1, 400, 1 << 20])
def test_images_are_skipped_whatever_their_attributes_are(size):
    image = ismrmrd.Image.from_array(np.ones((1, 1, 300, 301), np.float32))
    client = Connection(Role.CLIENT)
    for event in OPENING:
        client.send(event)
    message = b"".join(client.send(wire.Data(image))).replace(b"<ismrmrdMeta", b"<<smrmrdMeta")
    stream, events, server = message + messages()[1] + b"".join(old_image()), [], connection(decodes=False)
    for start in range(0, len(stream), size):
        events += [(type(event.header), event.message) for event in server.receive_data(stream[start : start + size])]
    skipped, waveform, old = events
    assert (skipped, old) == ((ismrmrd.ImageHeader, ()),) * 2
    assert waveform[0] is ismrmrd.WaveformHeader


def old_image():
    """An image of 2 x 3 pixels in float32 of the old kind 1010, which has no attributes."""
    header = ismrmrd.ImageHeader(channels=1)
    header.matrix_size = (3, 2, 1)
    return struct.pack("<H", 1010), bytes(header), bytes(24)


@pytest.mark.parametrize(("field", "value"), [("data_type", 9), ("channels", 65_535)])
def test_impossible_images_are_refused_as_by_a_connection_that_decodes(field, value):
    header = ismrmrd.ImageHeader(data_type=5, channels=1)
    header.matrix_size = (65_535, 2, 1)
    setattr(header, field, value)
    said = []
    for decodes in (True, False):
        with pytest.raises(RemoteProtocolError) as caught:
            connection(decodes=decodes).receive_data(struct.pack("<H", 1022) + bytes(header))
        said.append((str(caught.value), caught.value.message, caught.value.offset))
    assert said[0] == said[1]


def compressed(layout, size=None):
    """An acquisition of 2 channels and 3 samples with a trajectory, whose samples are compressed to 8 bits."""
    header = ismrmrd.AcquisitionHeader(active_channels=2, number_of_samples=3, trajectory_dimensions=1)
    header.flags = 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
    blob = struct.pack("<QfB", *layout) + bytes(range(12))
    size = len(blob) if size is None else size
    return struct.pack("<H", 1008) + bytes(header) + bytes(12) + struct.pack("<I", size) + blob


@pytest.mark.parametrize("size", [1, 400, 1 << 20])
def test_compressed_samples_are_passed_on_as_they_came(size):
    server, stream, events = connection(decodes=False), compressed((12, 1.0, 8)), []
    for start in range(0, len(stream), size):
        events += server.receive_data(stream[start : start + size])
    (event,) = events
    assert b"".join(event.message) == stream
    (decoded,) = connection().receive_data(stream)
    assert decoded.item.data[0, 1] == 2 + 3j


@pytest.mark.parametrize("layout", [(13, 1.0, 8), (12, 0.0, 8), (12, 1.0, 9), (12, 1.0, 32)])
def test_compressed_samples_are_refused_as_by_a_connection_that_decodes(layout):
    said = []
    for decodes in (True, False):
        with pytest.raises(RemoteProtocolError) as caught:
            connection(decodes=decodes).receive_data(compressed(layout))
        said.append((str(caught.value), caught.value.message, caught.value.offset))
    assert said[0] == said[1]


@pytest.mark.parametrize("size", [1, 400, 1 << 20])
def test_dicom_files_are_skipped_whatever_their_names_are(size):
    client = Connection(Role.CLIENT)
    for event in OPENING:
        client.send(event)
    named = b"".join(client.send(wire.Dicom(bytes(5000), "name", "<m/>"))).replace(b"name", b"\xff\xff\xff\xff")
    stream, events = named + struct.pack("<HI", 1012, 3) + bytes(3), []
    server = connection(decodes=False)
    for start in range(0, len(stream), size):
        events += server.receive_data(stream[start : start + size])
    assert events == [wire.Dicom(b"")] * 2
