"""No memory is allocated for a length that a peer only announces."""

import struct
import tracemalloc

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.wire import Connection, RemoteProtocolError, Role
from spokestream.pipelines.wire.fields import FIRST_PIECE
from spokestream.pipelines.wire.messages.acquisition import MOST_CHANNELS

MiB = 1 << 20


@pytest.fixture
def server():
    """A connection on which a client has sent its configuration and header."""
    server, client = Connection(Role.SERVER), Connection(Role.CLIENT)
    for event in (wire.ConfigFile("a"), wire.Header("<a/>")):
        server.receive_data(b"".join(client.send(event)))
    return server


def acquisition(channels, samples, dims=0, flags=0):
    head = ismrmrd.AcquisitionHeader(active_channels=channels, number_of_samples=samples, trajectory_dimensions=dims)
    head.flags = flags
    return struct.pack("<H", 1008) + bytes(head)


def image(*matrix):
    head = ismrmrd.ImageHeader(data_type=8, channels=1)
    head.matrix_size[:] = matrix
    return struct.pack("<H", 1022) + bytes(head) + struct.pack("<Q", 0)


ANNOUNCED = {
    "samples of 256 MiB": acquisition(1000, 33_000),
    "a trajectory of 256 MiB": acquisition(1, 65_535, dims=1000),
    "compressed samples of 256 MiB": acquisition(1000, 33_000, flags=1 << 53) + struct.pack("<I", 264_000_000),
    "an image of 256 MiB": image(4096, 4096, 1),
    "a DICOM file of 256 MiB": struct.pack("<HI", 1012, 256 * MiB),
    "a text of 1 MiB": struct.pack("<HI", 5, MiB),
}


def peak_bytes(server, data):
    tracemalloc.start()
    try:
        server.receive_data(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", ANNOUNCED)
def test_an_announced_length_allocates_one_piece(server, what):
    assert peak_bytes(server, ANNOUNCED[what]) < FIRST_PIECE + 64 * 1024


def test_a_header_of_4_mib_that_does_not_come_allocates_one_piece():
    server = Connection(Role.SERVER)
    server.receive_data(b"".join(Connection(Role.CLIENT).send(wire.ConfigFile("a"))))
    assert peak_bytes(server, struct.pack("<HI", 3, 4 * MiB)) < FIRST_PIECE + 64 * 1024


def test_memory_grows_with_what_has_come(server):
    server.receive_data(acquisition(1000, 33_000))
    came = 5 * FIRST_PIECE
    # pieces of 1, 2, 4 and 8 with the one before them
    assert peak_bytes(server, bytes(came)) < (8 + 4) * FIRST_PIECE + came


@pytest.mark.parametrize("samples", [FIRST_PIECE // 64, FIRST_PIECE // 64 + 1, 40_000])
def test_large_readouts_arrive_bit_for_bit(server, samples):
    rng = np.random.default_rng(samples)
    data = rng.standard_normal((8, 2 * samples)).astype(np.float32).view(np.complex64)
    sent = ismrmrd.Acquisition.from_array(data, rng.standard_normal((samples, 2)).astype(np.float32))
    client = Connection(Role.CLIENT)
    for event in (wire.ConfigFile("a"), wire.Header("<a/>")):
        client.send(event)
    raw = b"".join(client.send(wire.Data(sent)))
    pieces = [raw[i : i + 100_003] for i in range(0, len(raw), 100_003)]
    (got,) = [event.item for piece in pieces for event in server.receive_data(piece)]
    np.testing.assert_array_equal(got.data, data)
    np.testing.assert_array_equal(got.traj, sent.traj)
    got.data[:] = 0  # the receiver owns it


def test_more_channels_than_the_channel_mask_has_bits_are_refused(server):
    server.receive_data(acquisition(MOST_CHANNELS, 0))
    with pytest.raises(RemoteProtocolError, match="has 16000 channels; ISMRMRD's channel mask has 1024"):
        server.receive_data(acquisition(16_000, 16))


def test_a_compressed_readout_cannot_grow_beyond_its_header(server):
    """The blob declares 2^31 numbers of 1 bit each and brings the bytes of few."""
    blob = struct.pack("<QfB", 1 << 31, 1.0, 1) + bytes(100)
    raw = acquisition(4, 16, flags=1 << 53) + struct.pack("<I", len(blob)) + blob
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match=r"declare 2147483648 numbers .*; the header says 128"):
            server.receive_data(raw)
        assert tracemalloc.get_traced_memory()[1] < MiB
    finally:
        tracemalloc.stop()
