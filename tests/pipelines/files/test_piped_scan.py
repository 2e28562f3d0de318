"""Scans and maps through pipes: the same images as from the file, read by our codec and by ismrmrd's own reader."""

import io
import subprocess
import sys

import ismrmrd
import pytest
from ismrmrd.serialization import ProtocolDeserializer

from spokestream.errors import ScanError
from spokestream.pipelines import wire
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.message_stream import MessageStream, write_stream
from spokestream.pipelines.files.piped_scan import PipedScan
from spokestream.pipelines.files.replay import replay
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

XML = "<ismrmrdHeader/>"


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan of two slices with a damaged readout, which gives a warning."""
    path = tmp_path_factory.mktemp("piped") / "scan.h5"
    settings = SimulationSettings(sequence="fisp-song-200", matrix=37, coils=3, slices=2, seed=2, missing=0.02)
    simulate_scan(path, settings)
    return path


@pytest.fixture(scope="module")
def maps(scan, tmp_path_factory):
    """The images that `replay` writes into a file."""
    folder = tmp_path_factory.mktemp("maps")
    replay(scan, folder)
    return {place(image): image for image in read_map_file(folder / "maps.h5")[0]}


def place(image):
    return image.image_series_index, image.image_index


class Pipes:
    """Standard streams in memory."""

    def __init__(self, monkeypatch, given=b""):
        self.out = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(given)})())
        monkeypatch.setattr(sys, "stdout", type("Out", (io.StringIO,), {"buffer": self.out})())


def events(data):
    """The messages of a stream without a configuration."""
    reader = wire.Connection(wire.Role.SERVER)
    found = reader.receive_data(bytes([1, 0]) + bytes(1024) + data)
    reader.receive_data(b"")  # raises unless it ended with CLOSE
    return found[1:]


def check_same(images, maps):
    assert {place(image) for image in images} == maps.keys()
    for image in images:
        expected = maps[place(image)]
        assert image.data.tobytes() == expected.data.tobytes()
        assert image.data.dtype == expected.data.dtype
        assert dict(image.meta) == dict(expected.meta)
        assert bytes(image.getHead())[:-4] == bytes(expected.getHead())[:-4]


def test_commands_in_a_row_give_the_maps_of_the_file_bit_for_bit(scan, maps):
    spokestream = [sys.executable, "-m", "spokestream.pipelines"]
    scan_stream = subprocess.run([*spokestream, "convert", str(scan), "-"], capture_output=True, check=True)
    done = subprocess.run(
        [*spokestream, "replay", "-", "-o", "-"], input=scan_stream.stdout, capture_output=True, check=True
    )
    header, *middle, end = events(done.stdout)
    assert isinstance(header, wire.Header)
    assert isinstance(end, wire.Close)
    check_same([event.item for event in middle if isinstance(event, wire.Data)], maps)
    texts = [event.text for event in middle if isinstance(event, wire.Text)]
    assert texts
    assert all(text.startswith("WARNING ") and text.endswith("\n") for text in texts)
    assert b"map images from" in done.stderr
    # the same by the reader of the field's own library
    theirs = list(ProtocolDeserializer(io.BytesIO(done.stdout)).deserialize())
    check_same([item for item in theirs if isinstance(item, ismrmrd.Image)], maps)
    assert [str(item) for item in theirs if isinstance(item, str)] == texts


def test_images_leave_before_the_scan_has_ended(scan, maps, monkeypatch):
    whole = Pipes(monkeypatch).out
    assert main(["convert", str(scan), "-"]) == 0
    pipe, pipes, seen = io.BytesIO(whole.getvalue()), Pipes(monkeypatch), []

    def read1(n):
        seen.append(pipes.out.getvalue().count(b"spokestream_map"))
        return pipe.read(20_000)

    methods = {"read": pipe.read, "read1": staticmethod(read1), "isatty": staticmethod(lambda: False)}
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": type("Pipe", (), methods)()})())
    assert main(["replay", "-", "-o", "-"]) == 0
    assert 0 < seen[-2] < len(maps)


def test_a_scan_in_a_pipe_gives_files_too(scan, maps, monkeypatch, tmp_path):
    stream = tmp_path / "scan.mrd"
    assert main(["convert", str(scan), str(stream)]) == 0
    Pipes(monkeypatch, stream.read_bytes())
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/maps.h5").write_bytes(b"maps of before, which are replaced")
    assert main(["replay", "-", "-o", str(tmp_path / "maps")]) == 0
    check_same(read_map_file(tmp_path / "maps/maps.h5")[0], maps)


def test_a_failure_ends_the_stream_with_the_reason(scan, monkeypatch, capsys):
    pipes = Pipes(monkeypatch)
    assert main(["replay", str(scan), "-o", "-", "--integrity", "strict"]) == 1
    *_, error, end = events(pipes.out.getvalue())
    assert error.text.startswith("ERROR ")
    assert isinstance(end, wire.Close)
    assert error.text.removeprefix("ERROR ").strip() in capsys.readouterr().err


def test_other_formats_have_no_place_in_a_stream(scan, monkeypatch, capsys):
    pipes = Pipes(monkeypatch)
    assert main(["replay", str(scan), "-o", "-", "--bids"]) == 1
    assert "leave --bids and --dicom out" in capsys.readouterr().err
    assert not pipes.out.getvalue()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "Standard input is empty."),
        (b"\x89HDF\r\n\x1a\nmore", "is an HDF5 file, which cannot be read from a pipe; give its path"),
        (b"SPOKEREC and more", "is the recording of a session; give its path"),
        (b"words, words", "Standard input is no stream of ISMRMRD messages: 28535 is no message id"),
    ],
)
def test_what_is_no_stream_is_refused(data, sentence, monkeypatch, capsys, tmp_path):
    Pipes(monkeypatch, data)
    assert main(["replay", "-", "-o", str(tmp_path / "maps")]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()


def test_a_terminal_is_no_pipe():
    terminal = io.BytesIO()
    terminal.isatty = lambda: True
    with pytest.raises(ScanError, match="Nothing is piped"):
        PipedScan(terminal)


def test_a_cut_stream_gives_what_is_whole_and_says_so(caplog):
    out = io.BytesIO()
    write_stream(out, XML, [ismrmrd.Acquisition(), ismrmrd.Acquisition()])
    scan = PipedScan(io.BytesIO(out.getvalue()[:-3]))
    assert (scan.xml, scan.n_acquisitions, len(list(scan))) == (XML, None, 1)
    assert "standard input ends before the scan does" in caplog.text


def test_a_reader_that_leaves_is_not_written_to_again():
    class Pipe(io.BytesIO):
        gone = False

        def write(self, data):
            if self.gone:
                raise BrokenPipeError
            return super().write(data)

    pipe = Pipe()

    def readouts():
        pipe.gone = True
        yield ismrmrd.Acquisition()

    with pytest.raises(BrokenPipeError):
        write_stream(pipe, XML, readouts())


def test_a_defect_ends_the_stream_without_its_details():
    out = io.BytesIO()
    with pytest.raises(KeyError), MessageStream(out, XML):
        raise KeyError("secret")
    assert [e.text for e in events(out.getvalue()) if isinstance(e, wire.Text)] == [
        "ERROR The work was not finished.\n"
    ]
