"""Coverage-guided fuzzing of the codec: python benchmarks/fuzz_codec.py [--seconds 180] [--corpus FOLDER].

Needs `pip install atheris`, in an environment of its own if possible. Whatever the bytes are, a connection raises
nothing but RemoteProtocolError, says the same however TCP divides the stream, and says the same whether it decodes
readouts or passes them on; images and DICOM files are skipped then. libFuzzer prints executions and coverage; the exit
code is 77 after a crash.
"""

import argparse
import hashlib
import struct
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import atheris
import ismrmrd
import numpy as np

with atheris.instrument_imports(include=["spokestream.pipelines.wire"]):
    from spokestream.pipelines import wire
    from spokestream.pipelines.wire import fields
    from spokestream.pipelines.wire.states import PEER

LIMITS = wire.Limits(config=1 << 16, header=1 << 16, text=1 << 16, attributes=1 << 16, body=1 << 16)
"""So small that a few bytes of input reach them, and that memory does not slow the search."""
fields.FIRST_PIECE = 64  # so that memory grows in pieces in short inputs, too
ROLES = tuple(wire.Role)


SKIPPED = ("image", "dicom")
"""Words, in lower case, of errors inside messages whose content is skipped when nothing is decoded."""


def heard(role: wire.Role, decodes: bool, chunks: Iterable[bytes]) -> tuple[list[str], str]:
    """The events in the chunks, as texts, and the sentence of the error that ended them, if any did."""
    connection, events = wire.Connection(role, LIMITS, decodes=decodes), list[wire.Event]()
    sentence = ""
    try:
        for chunk in (*chunks, b""):
            if chunk or connection.their_state is not wire.State.CLOSED:
                events += connection.receive_data(chunk)
    except wire.RemoteProtocolError as error:
        events += error.events
        sentence = str(error)
    # the rest of these sentences counts the bytes of the chunk, or of the part of a message
    known = (known for known in ("after CLOSE", "ended without CLOSE") if known in sentence)
    sentence = next(known, sentence)
    return [text for event in events for text in described(event)], sentence


def described(event: wire.Event) -> list[str]:
    """An event as text, without the content of images and DICOM files; readouts that were not decoded are decoded."""
    match event:
        case wire.Dicom():
            return ["Dicom"]
        case wire.Undecoded(ismrmrd.ImageHeader() as header):
            return [f"Image {hashlib.sha256(bytes(header)).hexdigest()}"]
        case wire.Data(ismrmrd.Image() as image):
            return [f"Image {hashlib.sha256(bytes(image.getHead())).hexdigest()}"]
        case wire.Undecoded(_, message):
            later = wire.Connection(wire.Role.CLIENT, LIMITS).receive_data(b"".join(map(bytes, message)))
            return [text for one in later for text in described(one)]
        case wire.Data(item):
            arrays = [item.data, getattr(item, "traj", None)]
            raw = bytes(item.getHead()) + b"".join(np.ascontiguousarray(a).tobytes() for a in arrays if a is not None)
            return [f"{type(item).__name__} {hashlib.sha256(raw).hexdigest()}"]
    return [repr(event)]


def one_input(data: bytes) -> None:
    """The target: the first two bytes choose role and chunks, the others are the stream."""
    if len(data) < 3:
        return
    role, step, stream = ROLES[data[0] % len(ROLES)], 1 + data[1], data[2:]
    whole = heard(role, True, [stream])
    pieces = heard(role, True, (stream[i : i + step] for i in range(0, len(stream), step)))
    assert pieces == whole, f"pieces of {step} bytes give {pieces}, the whole stream gives {whole}"
    if any(word in whole[1].lower() for word in SKIPPED):
        return
    passed_on = heard(role, False, [stream])
    assert passed_on == whole, f"passed on, the stream gives {passed_on}, decoded {whole}"


def compressed() -> bytes:
    """The message of an acquisition of 2 channels and 6 samples, 8 bits a number."""
    head = ismrmrd.AcquisitionHeader(active_channels=2, available_channels=2, number_of_samples=6)
    head.flags = 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
    packed = struct.pack("<QfB", 24, 2.0, 8) + bytes(range(0, 240, 10))
    return struct.pack("<H", 1008) + bytes(head) + struct.pack("<I", len(packed)) + packed


def seeds() -> dict[str, bytes]:
    """One session of every role's peer, with every kind of message that it may send, and a compressed readout."""
    samples = np.arange(12, dtype=np.complex64).reshape(2, 6)
    readout = ismrmrd.Acquisition.from_array(samples, np.zeros((6, 2), np.float32))
    waveform = ismrmrd.Waveform.from_array(np.arange(6, dtype=np.uint32).reshape(2, 3))
    image = ismrmrd.Image.from_array(np.ones((1, 1, 4, 3), np.float32))
    image.meta = ismrmrd.Meta({"name": "value", "list": ["1", "2"]})
    data = [wire.Data(readout), wire.Data(waveform), wire.Data(image)]
    opening = [wire.ConfigFile("mrf_t1ff"), wire.Header("<ismrmrdHeader/>")]
    files = [wire.Dicom(b"DICM", "name", "<meta/>")]
    sessions = {
        wire.Role.CLIENT: [wire.Query(7, "gadgetron::info"), *opening, wire.Text("{}"), *data, *files],
        wire.Role.SERVER: [*data, *files, wire.Text("WARNING"), wire.Response(7, "yes")],
        wire.Role.PARENT: [wire.ConfigText("<configuration/>"), opening[1], *data],
        wire.Role.CHILD: [*data, *files, wire.ErrorText("no")],
    }
    found = {}
    for index, role in enumerate(ROLES):
        sender = wire.Connection(PEER[role], LIMITS)
        parts = [bytes(part) for event in sessions[PEER[role]] for part in sender.send(event)]
        found[role.name] = bytes([index, 40]) + b"".join([*parts, compressed(), *sender.send(wire.Close())])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=180, help="time of the search [180]")
    parser.add_argument("--corpus", type=Path, help="folder of inputs to begin with, where new ones are kept")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers; 0 takes the time [1]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpus = arguments.corpus or Path(name)
        corpus.mkdir(exist_ok=True)
        for role, content in seeds().items():
            (corpus / f"session of {role}").write_bytes(content)
        options = [f"-max_total_time={arguments.seconds}", f"-seed={arguments.seed}", "-max_len=4096", "-timeout=10"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", str(corpus)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
