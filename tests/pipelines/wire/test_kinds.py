"""Every kind of message can be read, can be written unless it is old, and belongs to exactly one family."""

import importlib
import pkgutil
import re
import struct
from itertools import chain
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from spokestream.errors import SpokestreamError
from spokestream.pipelines import wire
from spokestream.pipelines.wire import messages
from spokestream.pipelines.wire.codec import FAMILIES, KIND_BY_ID, REFUSED, encode
from spokestream.pipelines.wire.limits import Limits
from spokestream.pipelines.wire.message_kind import MessageKind
from spokestream.pipelines.wire.states import MAY_SEND, Role, State, next_state

PAGE = Path(__file__).parents[3] / "docs/protocol.md"
KINDS = list(chain.from_iterable(FAMILIES))
TEXTS = {
    "CONFIG_FILE": wire.ConfigFile("mrf_t1ff"),
    "CONFIG_TEXT": wire.ConfigText("<configuration/>"),
    "HEADER": wire.Header("<ismrmrdHeader/>"),
    "CLOSE": wire.Close(),
    "TEXT": wire.Text("a text, äöü"),
    "QUERY": wire.Query(2**64 - 1, "gadgetron::info"),
    "RESPONSE": wire.Response(17, "spokestream"),
    "ERROR": wire.ErrorText("no spokes"),
    "DEPENDENCY_REPLY": wire.DependencyReply("<ismrmrdMeta/>"),
    "DICOM_WITH_NAME": wire.Dicom(b"DICM", "slice.dcm", "<m/>"),
}
ITEMS = {"ACQUISITION", "IMAGE", "WAVEFORM"}

PIXELS = {"COMPLEX_FLOAT": "<c8", "FLOAT": "<f4", "USHORT": "<u2", "SHORT": "<i2"}
IMAGE_HEADER = bytes(ismrmrd.ImageHeader(matrix_size=(3, 1, 1), channels=1, image_index=5))
ONLY_READ = {
    "DICOM": struct.pack("<I", 4) + b"DICM",
    **{f"IMAGE_{pixels}": IMAGE_HEADER + np.arange(3).astype(dtype).tobytes() for pixels, dtype in PIXELS.items()},
    **{
        f"IMAGE_{pixels}_WITH_ATTRIBUTES": IMAGE_HEADER + struct.pack("<Q", 0) + np.arange(3).astype(dtype).tobytes()
        for pixels, dtype in PIXELS.items()
    },
}
"""Bodies of the messages that are read but never sent."""


@pytest.fixture
def samples(make_acquisition, make_image):
    """One event of each kind that is written."""
    image = make_image(np.float32, (2, 1, 5, 3), {"name": "T1"})
    image._head.data_type, image._head.channels, image._head.matrix_size = 5, 2, (3, 5, 1)  # as it will be written
    image._head.attribute_string_len = len(image.attribute_string)
    waveform = ismrmrd.Waveform.from_array(np.arange(10, dtype=np.uint32).reshape(2, 5), waveform_id=3)
    items = {"ACQUISITION": make_acquisition(), "IMAGE": image, "WAVEFORM": waveform}
    assert items.keys() == ITEMS
    return TEXTS | {name: wire.Data(item) for name, item in items.items()}


def read(kind, body):
    """The event in exactly these bytes."""
    reader, rest = kind.read(Limits()), memoryview(body)
    try:
        target = next(reader)
        while True:
            target[:] = rest[: len(target)]
            rest = rest[len(target) :]
            target = next(reader)
    except StopIteration as end:
        assert not rest
        return end.value


def test_every_kind_belongs_to_exactly_one_family():
    modules = [
        importlib.import_module(f"{messages.__name__}.{entry.name}")
        for entry in pkgutil.iter_modules(messages.__path__)
    ]
    families = [module for module in modules if hasattr(module, "KINDS")]
    assert sorted(map(id, FAMILIES)) == sorted(id(module.KINDS) for module in families)
    for family in families:
        made_here = {value for value in vars(family).values() if isinstance(value, MessageKind)}
        assert made_here <= set(family.KINDS)
    for unique in ("id", "name"):
        values = [getattr(kind, unique) for kind in KINDS]
        assert len(values) == len(set(values))
    assert len(KINDS) == len(set(KINDS)) == len(KIND_BY_ID)
    assert not KIND_BY_ID.keys() & REFUSED.keys()


def test_each_kind_is_written_or_known_to_be_only_read():
    assert {kind.name for kind in KINDS if kind.write} == TEXTS.keys() | ITEMS
    assert {kind.name for kind in KINDS if not kind.write} == ONLY_READ.keys()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.write], ids=lambda kind: kind.name)
def test_each_written_kind_is_read_back(kind, samples):
    event = samples[kind.name]
    assert [other.name for other in KINDS if other.write and other.says(event)] == [kind.name]
    chosen, body = encode(event)
    assert chosen is kind
    back = read(kind, b"".join(map(bytes, body)))
    assert type(back) is kind.event
    assert back == event


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.write], ids=lambda kind: kind.name)
def test_each_kind_that_is_only_read_is_understood(kind):
    event = read(kind, ONLY_READ[kind.name])
    assert kind.says(event)
    if kind.name == "DICOM":
        assert event == wire.Dicom(b"DICM")
    else:
        assert event.item.data.dtype == np.dtype(PIXELS[re.match("IMAGE_(.*?)(_WITH|$)", kind.name)[1]])
        assert (event.item.data.ravel() == [0, 1, 2]).all()
        assert event.item.image_index == 5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_somebody_may_send_each_kind_at_some_time(kind):
    assert any(next_state(role, state, kind) for role in Role for state in State)


def test_events_are_sent_as_they_are_and_items_only_inside_data():
    for event in (wire.Data(wire.Text("a")), ismrmrd.Acquisition()):
        with pytest.raises(wire.LocalProtocolError, match="cannot be sent"):
            encode(event)


def test_the_protocol_page_has_every_message_with_its_id_and_senders():
    page = PAGE.read_text()
    roles = {"client": Role.CLIENT, "node": Role.SERVER, "Gadgetron": Role.PARENT, "module": Role.CHILD}
    assert f"| id | message | {' | '.join(roles)} | body |" in page
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.) \| (.) \| (.) \| (.) \| \S", page, flags=re.MULTILINE)
    shown = {(int(number), name, *marks) for number, name, *marks in rows}
    assert shown == {
        (kind.id, kind.name, *("×" if kind in MAY_SEND[role] else "–" for role in roles.values())) for kind in KINDS
    }


def test_an_error_of_the_protocol_is_one_for_people():
    assert issubclass(wire.ProtocolError, SpokestreamError)
