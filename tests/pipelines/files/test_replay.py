import json
from dataclasses import dataclass, field
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from map_image_examples import example_images

from spokestream.errors import FileError, ScanError
from spokestream.pipelines.files import replay as module
from spokestream.pipelines.files.replay import replay
from spokestream.pipelines.settings import T1FFNetSettings, T1FFSettings
from spokestream.settings import replace_settings

GIVEN = {"virtual_coils": "4", "dictionary": Path("d.h5")}


@dataclass
class Selection:
    """Stands for a selected pipeline."""

    settings: T1FFSettings = field(default_factory=T1FFSettings)
    name: str = "mrf_t1ff"

    def with_parameters(self, parameters, *, trusted=False):
        assert trusted
        return Selection(replace_settings(self.settings, parameters))


@dataclass
class FakeChain:
    """Gives the images of a slice after its third readout, and a message that is no image."""

    seen: list = field(default_factory=list)
    closed: bool = False
    fails: bool = False
    breaks_off: bool = False
    silent: bool = False
    selection: Selection | None = None
    xml: str = ""

    def feed(self, acquisition):
        self.seen.append(acquisition)
        if self.fails:
            raise ScanError("The coil fell off.")
        if len(self.seen) == 3 and not self.silent:
            yield from example_images(1)
            yield "not an image"

    def finish(self):
        if self.breaks_off:
            yield from example_images(order=[1])[:2]  # the second slice lacks a map
            raise ScanError("Slice 2: 700 of 1400 spokes are missing.")
        if not self.silent:
            yield from example_images(order=[1])

    def close(self):
        self.closed = True


@pytest.fixture
def chain(monkeypatch):
    fake = FakeChain()

    def start_scan(selection, header_xml, log):
        fake.selection, fake.xml = selection, header_xml
        return fake

    monkeypatch.setattr(module, "select", lambda config: Selection() if config in ("auto", "mrf_t1ff") else None)
    monkeypatch.setattr(module, "start_scan", start_scan)
    return fake


@pytest.fixture
def scan_file(tmp_path):
    with ismrmrd.Dataset(tmp_path / "scan.h5", mode="w") as file:
        file.write_xml_header(b"<header/>")
        for i in range(4):
            file.append_acquisition(ismrmrd.Acquisition.from_array(np.full((2, 5), i, np.complex64)))
    return tmp_path / "scan.h5"


def test_every_acquisition_passes_the_chain_and_its_images_are_written(chain, scan_file, tmp_path):
    steps = []
    report = replay(scan_file, tmp_path / "out", "mrf_t1ff", GIVEN, lambda *step: steps.append(step))
    assert [a.data[0, 0] for a in chain.seen] == [0, 1, 2, 3]
    assert chain.xml == "<header/>"
    assert chain.selection.settings == T1FFSettings(virtual_coils=4, dictionary=Path("d.h5"))
    assert chain.closed
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (report.acquisitions, report.images) == (4, 6)
    assert 0 <= report.latency_s <= report.total_s
    assert report.peak_memory_mb > 10
    told = json.loads((tmp_path / "out/report.json").read_text())
    assert told["source"] == str(scan_file)
    assert told["parameters"] == {"virtual_coils": 4, "dictionary": "d.h5"}
    with ismrmrd.Dataset(tmp_path / "out/maps.h5", mode="r") as file:
        assert file.number_of_images("image_101") == 2


@pytest.fixture
def recording(monkeypatch):
    """A recorded session, and the selection with which it is replayed."""

    class Recorded:
        config, parameters, xml, n_acquisitions = "mrf_t1ff", {"config": "mrf_t1ff_net", "max_missing": 0.3}, "<a/>", 0

        def __init__(self, path):
            """A recording without readouts."""

        def __iter__(self):
            return iter(())

    def start_scan(selection, header_xml, log):
        started.append(selection)
        raise ScanError("Enough.")

    started = []
    monkeypatch.setattr(module, "RecordedScan", Recorded)
    monkeypatch.setattr(module, "open_scan", Recorded)
    monkeypatch.setattr(module, "start_scan", start_scan)
    return started


@pytest.mark.parametrize(
    ("pipeline", "settings"),
    [
        (None, T1FFNetSettings(max_missing=0.3, threads=1)),
        ("mrf_t1ff_net", T1FFNetSettings(threads=1)),
        ("mrf_t1ff", T1FFSettings(threads=1)),
    ],
)
def test_a_recording_has_its_client_s_settings_unless_a_pipeline_is_named(recording, pipeline, settings, tmp_path):
    with pytest.raises(ScanError, match="Enough"):
        replay("kept.spokes", tmp_path, pipeline, {"threads": 1})
    assert recording[0].settings == settings


def test_the_chain_is_closed_when_it_fails(chain, scan_file, tmp_path):
    chain.fails = True
    with pytest.raises(ScanError, match="coil fell off"):
        replay(scan_file, tmp_path / "out")
    assert chain.closed
    assert not (tmp_path / "out").exists()


def test_whole_slices_of_a_scan_that_breaks_off_are_kept_with_a_warning(chain, scan_file, tmp_path, caplog):
    chain.breaks_off = True
    report = replay(scan_file, tmp_path / "out")
    assert chain.closed
    assert report.images == 3
    sentence = (
        "The scan is incomplete, and only slice 1 could be reconstructed: Slice 2: 700 of 1400 spokes are missing."
    )
    assert caplog.messages == [sentence]
    assert json.loads((tmp_path / "out/report.json").read_text())["warnings"] == [sentence]
    with ismrmrd.Dataset(tmp_path / "out/maps.h5", mode="r") as file:
        assert file.number_of_images("image_101") == 1
    chain.seen.clear()
    with pytest.raises(ScanError, match="700 of 1400"):
        replay(scan_file, tmp_path / "strict", parameters={"integrity": "strict"})


def test_the_output_is_checked_before_the_work(chain, scan_file, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "maps.h5").write_bytes(scan_file.read_bytes())
    for scan, out, sentence in (
        (scan_file, tmp_path / "file", "is a file; name a folder"),
        (scan_file, Path("/proc/maps"), "cannot be written"),
        (tmp_path / "maps.h5", tmp_path, "would replace the scan"),
    ):
        with pytest.raises(FileError, match=sentence):
            replay(scan, out)
    assert not chain.seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "maps.h5", "scan.h5"]


def test_a_scan_without_maps_is_an_error(chain, scan_file, tmp_path):
    chain.silent = True
    with pytest.raises(ScanError, match="without a single map"):
        replay(scan_file, tmp_path / "out")


def test_latency_counts_from_the_last_readout(chain, scan_file, tmp_path, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(module, "perf_counter", lambda: float(next(clock)))
    report = replay(scan_file, tmp_path / "out")
    # begin 0; readouts at 1, 2, 3; three images at 4..6; last readout at 7; three images at 8..10
    assert report.latency_s == 3
    assert report.total_s == 10
