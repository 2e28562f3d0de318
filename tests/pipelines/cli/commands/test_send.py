"""`spokestream send` writes what `replay` writes, into a file, a folder or a pipe."""

import io
import sys

import pytest

from spokestream.pipelines import wire
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.cli.sending import send_and_report
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.node.server import local_server
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A scan with a truth beside it, some spokes of which are missing, and the maps of its file."""
    folder = tmp_path_factory.mktemp("head")
    settings = SimulationSettings(anatomy="brain", matrix=37, coils=3, sequence="fisp-song-200", missing=0.02)
    simulate_scan(folder / "head.h5", settings)
    assert main(["replay", str(folder / "head.h5"), "-o", str(folder / "maps"), "--dicom", "--bids"]) == 0
    return folder


@pytest.fixture
def send(head):
    with local_server() as port:
        yield lambda *arguments: main(["send", str(head / "head.h5"), "--port", str(port), *map(str, arguments)])


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_folder_gets_what_a_replay_writes(send, head, tmp_path, capsys):
    assert send("-o", tmp_path / "maps", "--dicom", "--bids") == 0
    assert names(tmp_path / "maps") == names(head / "maps")
    for name in names(head / "maps") - {"report.json", "report.html", "dicom"}:  # reports hold times
        if not name.endswith((".h5", ".gz")):
            assert (tmp_path / "maps" / name).read_bytes() == (head / "maps" / name).read_bytes(), name
    ours, theirs = (read_map_file(folder / "maps/maps.h5")[0] for folder in (head, tmp_path))
    assert [image.to_bytes() for image in ours] == [image.to_bytes() for image in theirs]
    said = capsys.readouterr()
    assert "white matter" in said.out  # compared with the truth
    assert "WARNING" in said.out


def test_old_results_in_the_folder_are_named(send, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "ff.nii.gz").write_text("old")
    assert send("-o", tmp_path) == 0
    assert "what an earlier reconstruction wrote and this one does not: ff.nii.gz." in capsys.readouterr().err


def test_a_file_gets_the_images_alone(send, head, tmp_path, capsys):
    assert send("-o", tmp_path / "images.h5") == 0
    ours, theirs = read_map_file(head / "maps/maps.h5")[0], read_map_file(tmp_path / "images.h5")[0]
    assert [image.to_bytes() for image in ours] == [image.to_bytes() for image in theirs]
    assert "8 images, the last" in capsys.readouterr().out
    assert send("-o", tmp_path / "other.h5", "--dicom") == 1
    assert "name a folder" in capsys.readouterr().err
    assert names(tmp_path) == {"images.h5"}


def test_a_pipe_gets_images_and_warnings(send, head, monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", type("Out", (io.StringIO,), {"buffer": out})())
    assert send("-o", "-") == 0
    reader = wire.Connection(wire.Role.SERVER)
    events = reader.receive_data(bytes([1, 0]) + bytes(1024) + out.getvalue())
    assert isinstance(events[-1], wire.Close)
    images = [event.item for event in events if isinstance(event, wire.Data)]
    expected = read_map_file(head / "maps/maps.h5")[0]
    assert sorted(i.data.tobytes() for i in images) == sorted(i.data.tobytes() for i in expected)
    assert any(isinstance(event, wire.Text) and event.text.startswith("WARNING ") for event in events)


def test_a_refusal_ends_the_pipe_with_one_error(send, monkeypatch, capsys):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", type("Out", (io.StringIO,), {"buffer": out})())
    assert send("-o", "-", "--pipeline", "nonsense") == 1
    reader = wire.Connection(wire.Role.SERVER)
    events = reader.receive_data(bytes([1, 0]) + bytes(1024) + out.getvalue())
    (error,) = [event.text for event in events if isinstance(event, wire.Text)]
    assert error.startswith("ERROR The server says: There is no pipeline 'nonsense'")
    assert error.removeprefix("ERROR ").strip() in capsys.readouterr().err


def test_progress_counts_the_readouts(head, serve, readout):
    shown = []

    class Source(list):
        xml, n_acquisitions = "<a/>", 5

    with serve() as running:
        source = Source(readout() for _ in range(5))
        reply, report = send_and_report(source, "localhost", running.port, "toy", {}, None, lambda *s: shown.append(s))
    assert shown == [(i, 5) for i in range(1, 6)]
    assert (report.acquisitions, report.images) == (5, len(reply.images)) == (5, 1)


def test_a_pipe_has_no_pace(send, head, monkeypatch, capsys):
    stream = head / "head.mrd"
    assert main(["convert", str(head / "head.h5"), str(stream)]) == 0
    monkeypatch.setattr(sys, "stdin", type("In", (), {"buffer": io.BytesIO(stream.read_bytes())})())
    assert main(["send", "-", "--port", "1", "--speed", "1"]) == 1
    assert "leave --speed out" in capsys.readouterr().err
