"""Message bodies, compared field by field with layouts written by hand and with the `ismrmrd` package."""

import ctypes
import io
import struct

import ismrmrd
import numpy as np
import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.wire import Connection, RemoteProtocolError, Role

# offsets in the C headers of ISMRMRD
ACQUISITION_OFFSETS = {"flags": 2, "scan_counter": 14, "number_of_samples": 34, "center_sample": 172, "user_float": 308}
IMAGE_OFFSETS = {
    "data_type": 2,
    "matrix_size": 16,
    "channels": 34,
    "image_series_index": 128,
    "attribute_string_len": 194,
}
DTYPES = ["<u2", "<i2", "<u4", "<i4", "<f4", "<f8", "<c8", "<c16"]


def sent(event, role=Role.SERVER):
    return b"".join(bytes(part) for part in Connection(role).send(event))


def received(raw):
    """One event that a server sends."""
    (event,) = Connection(Role.CLIENT).receive_data(raw)
    return event


def refused(raw):
    with pytest.raises(RemoteProtocolError) as caught:
        Connection(Role.CLIENT).receive_data(raw)
    return str(caught.value)


def test_headers_are_packed_as_in_c():
    assert ctypes.sizeof(ismrmrd.AcquisitionHeader) == 340
    assert ctypes.sizeof(ismrmrd.ImageHeader) == 198
    assert ctypes.sizeof(ismrmrd.WaveformHeader) == 40
    for header, offsets in ((ismrmrd.AcquisitionHeader, ACQUISITION_OFFSETS), (ismrmrd.ImageHeader, IMAGE_OFFSETS)):
        for name, offset in offsets.items():
            assert getattr(header, name).offset == offset


def test_acquisition_arrays_lie_where_the_standard_puts_them(make_acquisition):
    acquisition = make_acquisition(channels=3, samples=7, dims=2)
    raw = sent(wire.Data(acquisition))
    assert struct.unpack_from("<H", raw)[0] == 1008
    trajectory = np.frombuffer(raw, "<f4", 14, 342)
    samples = np.frombuffer(raw, "<f4", 42, 342 + 14 * 4)
    assert len(raw) == 342 + 14 * 4 + 42 * 4
    np.testing.assert_array_equal(trajectory, acquisition.traj.ravel())  # sample by sample
    np.testing.assert_array_equal(
        samples[2 * 7 : 2 * 7 + 2], [acquisition.data[1, 0].real, acquisition.data[1, 0].imag]
    )


def test_acquisitions_agree_with_ismrmrd_both_ways(make_acquisition):
    acquisition = make_acquisition(channels=5, samples=11, dims=3)
    theirs = io.BytesIO()
    ismrmrd.ProtocolSerializer(theirs).serialize(acquisition)
    assert sent(wire.Data(acquisition)) == theirs.getvalue()
    item = received(theirs.getvalue()).item
    assert item == acquisition
    item.data[0, 0] = 1  # a gadget may write to the samples that it receives
    (read,) = ismrmrd.ProtocolDeserializer(io.BytesIO(sent(wire.Data(acquisition)) + b"\4\0")).deserialize()
    assert read == acquisition


def test_waveforms_agree_with_ismrmrd_both_ways():
    waveform = ismrmrd.Waveform.from_array(np.arange(10, dtype=np.uint32).reshape(2, 5), waveform_id=3, flags=1 << 60)
    theirs = io.BytesIO()
    ismrmrd.ProtocolSerializer(theirs).serialize(waveform)
    assert received(theirs.getvalue()).item == waveform
    assert sent(wire.Data(waveform)) == theirs.getvalue()


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "<i4"])
def test_images_agree_with_ismrmrd_both_ways(make_image, dtype):
    image = make_image(dtype, (2, 3, 5, 4), {"spokestream_map": "t1h2o", "history": ["gridding", "matching"]})
    raw = sent(wire.Data(image))
    (read,) = ismrmrd.ProtocolDeserializer(io.BytesIO(raw + b"\4\0")).deserialize()
    assert read.data.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read.data, image.data)
    assert read.meta == image.meta
    theirs = io.BytesIO()
    ismrmrd.ProtocolSerializer(theirs).serialize(read)
    assert theirs.getvalue() == raw
    ours = received(theirs.getvalue()).item
    assert ours.getHead() == read.getHead()
    assert ours.attribute_string == image.attribute_string
    np.testing.assert_array_equal(ours.data, image.data)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_pixel_type_survives(make_image, dtype):
    image = make_image(dtype, (1, 1, 5, 3))
    head = received(sent(wire.Data(image))).item
    assert head.data.dtype == np.dtype(dtype)
    assert head.data_type == DTYPES.index(dtype) + 1
    assert head.matrix_size == (3, 5, 1)
    np.testing.assert_array_equal(head.data, image.data)


def test_text_messages_agree_with_ismrmrd():
    theirs = io.BytesIO()
    serializer = ismrmrd.ProtocolSerializer(theirs)
    for thing in (ismrmrd.ConfigText("<a/>"), "a text, äöü"):
        serializer.serialize(thing)
    serializer.close()
    client = Connection(Role.CLIENT)
    said = [wire.ConfigText("<a/>"), wire.Text("a text, äöü"), wire.Close()]
    assert Connection(Role.SERVER).receive_data(theirs.getvalue()) == said
    assert b"".join(bytes(part) for event in said for part in client.send(event)) == theirs.getvalue()


def test_config_file_agrees_with_ismrmrd():
    theirs = io.BytesIO()
    ismrmrd.ProtocolSerializer(theirs).serialize(ismrmrd.ConfigFile("mrf_t1ff.xml"))
    assert sent(wire.ConfigFile("mrf_t1ff.xml"), Role.CLIENT) == theirs.getvalue()


def test_a_config_name_ends_at_its_nul():
    raw = struct.pack("<H", 1) + b"mrf_t1ff\0\xff\xffleft over".ljust(1024, b"\x07")
    assert Connection(Role.SERVER).receive_data(raw) == [wire.ConfigFile("mrf_t1ff")]


@pytest.mark.parametrize("nuls", [0, 1, 3])
def test_trailing_nuls_are_stripped(nuls):
    assert received(struct.pack("<HI", 5, 2 + nuls) + b"ab" + nuls * b"\0") == wire.Text("ab")


def test_image_attributes_with_a_counted_nul(make_image):
    raw = sent(wire.Data(make_image(meta={"a": "1"})))
    length = struct.unpack_from("<Q", raw, 200)[0]
    raw = raw[:200] + struct.pack("<Q", length + 1) + raw[208 : 208 + length] + b"\0" + raw[208 + length :]
    assert received(raw).item.meta == {"a": "1"}


def test_invalid_utf8_is_an_error():
    assert "not UTF-8" in refused(struct.pack("<HI", 5, 2) + b"\xff\xfe")


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        (b"just words", "The metadata of an image is not well-formed XML"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "entities"),
    ],
)
def test_unreadable_image_attributes_are_refused(attributes, complaint):
    head = ismrmrd.ImageHeader(data_type=5)
    assert complaint in refused(struct.pack("<H", 1022) + bytes(head) + struct.pack("<Q", len(attributes)) + attributes)


def test_repeated_and_empty_metadata(make_image):
    xml = b"<ismrmrdMeta xmlns='urn:x'>" + b"".join(
        f"<meta><name>{name}</name>{values}</meta>".encode()
        for name, values in [("a", "<value>1</value>"), ("a", "<value>2</value>"), ("b", "<value/>")]
    )
    raw = bytes(ismrmrd.ImageHeader(data_type=5)) + struct.pack("<Q", len(xml) + 14) + xml + b"</ismrmrdMeta>"
    assert received(struct.pack("<H", 1022) + raw).item.meta == {"a": ["1", "2"], "b": ""}


@pytest.mark.parametrize(
    ("old_id", "dtype", "attributes"),
    [(1009, "<c8", False), (1010, "<f4", False), (1011, "<u2", False), (1020, "<i2", False),
     (1015, "<c8", True), (1016, "<f4", True), (1017, "<u2", True), (1021, "<i2", True)],
)  # fmt: skip
def test_old_images_are_read(old_id, dtype, attributes):
    header = ismrmrd.ImageHeader(matrix_size=(3, 2, 1), channels=1, data_type=0)
    pixels = np.arange(6).astype(dtype)
    raw = struct.pack("<H", old_id) + bytes(header) + (struct.pack("<Q", 0) if attributes else b"") + pixels.tobytes()
    image = received(raw).item
    assert image.data.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.data, pixels.reshape(1, 1, 2, 3))


def test_unknown_pixel_types_are_refused():
    assert "unknown pixel type 9" in refused(struct.pack("<H", 1022) + bytes(ismrmrd.ImageHeader(data_type=9)))


def test_dicom_with_and_without_a_name():
    dicom = wire.Dicom(b"DICM", "slice.dcm", "<m/>")
    assert received(sent(dicom)) == dicom
    assert received(struct.pack("<HI", 1012, 4) + b"DICM") == wire.Dicom(b"DICM")


def nhlbi(acquisition, bits):
    """A message as Gadgetron's client compresses it, and its scale. One long Python integer holds all numbers."""
    floats = acquisition.data.view(np.float32).ravel()
    scale = (2 ** (bits - 1) - 1) / float(np.abs(floats).max())
    packed = 0
    for i, value in enumerate(np.round(floats.astype(float) * scale).astype(int).tolist()):
        packed |= (value & (2**bits - 1)) << (i * bits)
    blob = struct.pack("<QfB", len(floats), scale, bits) + packed.to_bytes(-(-len(floats) * bits // 8), "little")
    head = acquisition.getHead()
    head.flags |= 1 << 53
    return struct.pack("<H", 1008) + bytes(head) + acquisition.traj.tobytes() + struct.pack(
        "<I", len(blob)
    ) + blob, scale


@pytest.mark.parametrize("bits", [2, 7, 8, 13, 24, 31])
def test_compressed_acquisitions_are_unpacked_within_half_a_step(make_acquisition, bits):
    acquisition = make_acquisition(channels=3, samples=37, dims=2, flags=1 << 7)
    raw, scale = nhlbi(acquisition, bits)
    read = received(raw).item
    step = 0.5 / scale + 4 * np.finfo(np.float32).eps * np.abs(acquisition.data).max()
    assert np.abs((read.data - acquisition.data).view(np.float32)).max() <= step
    np.testing.assert_array_equal(read.traj, acquisition.traj)
    assert read.flags == 1 << 7  # the flag for compression is cleared
    assert len(Connection(Role.SERVER).send(wire.Data(read))) == 4


def test_long_compressed_readouts_cross_block_borders(make_acquisition, monkeypatch):
    monkeypatch.setattr("spokestream.pipelines.wire.messages.nhlbi.BLOCK", 16)
    acquisition = make_acquisition(channels=3, samples=37)
    raw, scale = nhlbi(acquisition, 11)
    assert np.abs((received(raw).item.data - acquisition.data).view(np.float32)).max() <= 0.5 / scale + 1e-6


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [((1, 1.0, 9), "declare 1 numbers"), ((2**63, 1.0, 9), "numbers in"), ((42, 0.0, 9), "scale of 0"),
     ((42, float("nan"), 9), "scale of nan"), ((42, 1.0, 0), "0 bits"), ((42, 1.0, 32), "32 bits")],
)  # fmt: skip
def test_damaged_compression_is_refused(make_acquisition, layout, complaint):
    raw, _ = nhlbi(make_acquisition(channels=3, samples=7, dims=0), 9)
    start = 2 + 340 + 4
    assert complaint in refused(raw[:start] + struct.pack("<QfB", *layout) + raw[start + 13 :])


@pytest.mark.parametrize("flag", [53, 55, 56])
def test_other_compression_is_refused_in_a_sentence(flag):
    raw = struct.pack("<H", 1008) + bytes(ismrmrd.AcquisitionHeader(flags=1 << (flag - 1)))
    assert "compressed with" in refused(raw)


@pytest.mark.parametrize("spoil", ["number_of_samples", "active_channels", "trajectory_dimensions"])
def test_an_acquisition_that_contradicts_its_header_is_not_sent(make_acquisition, spoil):
    acquisition = make_acquisition()
    setattr(acquisition._head, spoil, 4)
    with pytest.raises(wire.LocalProtocolError, match="promises"):
        sent(wire.Data(acquisition))


@pytest.mark.parametrize(
    "event",
    [
        wire.Text("\ud800"),
        wire.ConfigFile("a" * 1024),
        wire.Query(-1, "a"),
        wire.Data("not an item"),
        wire.Data(None),
    ],
)
def test_what_cannot_be_written_is_a_local_error(event):
    with pytest.raises(wire.LocalProtocolError):
        sent(event, Role.CLIENT)


def test_pixels_that_no_image_type_holds_are_not_sent(make_image):
    with pytest.raises(wire.LocalProtocolError, match="int64"):
        sent(wire.Data(make_image(np.int64)))
