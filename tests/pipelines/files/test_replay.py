import json
from dataclasses import dataclass, field

import ismrmrd
import numpy as np
import pytest
from map_image_examples import example_images

from spokestream.errors import ScanError
from spokestream.pipelines.files import replay as module
from spokestream.pipelines.files.replay import replay


@dataclass
class Selection:
    """Stands for a selected pipeline."""

    parameters: dict = field(default_factory=dict)
    name: str = "mrf_t1ff"

    def with_parameters(self, parameters, *, trusted=False):
        assert trusted
        return Selection(dict(parameters))


@dataclass
class FakeChain:
    """Gives the images of a slice after its third readout, and a message that is no image."""

    seen: list = field(default_factory=list)
    closed: bool = False
    fails: bool = False
    silent: bool = False

    def feed(self, acquisition):
        self.seen.append(acquisition)
        if self.fails:
            raise ScanError("The coil fell off.")
        if len(self.seen) == 3 and not self.silent:
            yield from example_images(1)
            yield "not an image"

    def finish(self):
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

    monkeypatch.setattr(module, "select", lambda config: Selection() if config == "mrf_t1ff" else None)
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
    report = replay(scan_file, tmp_path / "out", "mrf_t1ff", {"coils": "4"}, lambda *step: steps.append(step))
    assert [a.data[0, 0] for a in chain.seen] == [0, 1, 2, 3]
    assert chain.xml == "<header/>"
    assert chain.selection.parameters == {"coils": "4"}
    assert chain.closed
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (report.acquisitions, report.images) == (4, 6)
    assert 0 <= report.latency_s <= report.total_s
    assert report.peak_memory_mb > 10
    written = json.loads((tmp_path / "out/report.json").read_text())
    assert written["source"] == str(scan_file)
    assert written["parameters"] == {"coils": "4"}
    with ismrmrd.Dataset(tmp_path / "out/maps.h5", mode="r") as file:
        assert file.number_of_images("image_101") == 2


def test_the_chain_is_closed_when_it_fails(chain, scan_file, tmp_path):
    chain.fails = True
    with pytest.raises(ScanError, match="coil fell off"):
        replay(scan_file, tmp_path / "out")
    assert chain.closed
    assert not (tmp_path / "out").exists()


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
