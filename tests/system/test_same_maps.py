"""One chain, many homes: the same scan gives the same images, bit for bit, wherever it is reconstructed."""

import logging

import h5py
import ismrmrd
import numpy as np
import pytest
from gadgetron_host import configuration_of, module_process

from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines import wire
from spokestream.pipelines.client import send_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.message_scan import RecordedScan
from spokestream.pipelines.files.replay import reconstruct, replay
from spokestream.pipelines.installation.gadgetron_xml import gadgetron_xml
from spokestream.pipelines.node.server import local_server
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


def inline(scan, pipeline):
    chain = start_scan(select(pipeline), scan.xml, logging.getLogger("test"))
    return [item for item in run_chain(chain, scan) if isinstance(item, ismrmrd.Image)]


def replayed(scan, pipeline, sent, tmp_path):
    """What a researcher finds in the file, read with the field's own library."""
    replay(scan.path, tmp_path, pipeline)
    with h5py.File(tmp_path / "maps.h5") as file:
        groups = sorted(name for name in file["dataset"] if name.startswith("image_"))
    with ismrmrd.Dataset(tmp_path / "maps.h5", create_if_needed=False) as dataset:
        return [dataset.read_image(g, i) for g in groups for i in range(dataset.number_of_images(g))]


def over_tcp(scan, pipeline, sent, tmp_path):
    images, _ = sent
    return images


def from_the_recording(scan, pipeline, sent, tmp_path):
    """The session's bytes, kept by the server and replayed as a file."""
    _, recording = sent
    source = RecordedScan(recording)
    assert source.n_acquisitions == scan.n_acquisitions
    return reconstruct(source, select(source.config).with_parameters(source.parameters))[0]


def in_gadgetron(scan, pipeline, sent, tmp_path):
    with module_process(pipeline) as (host, process):
        config = configuration_of(gadgetron_xml(pipeline))
        host.say(wire.ConfigText(config), wire.Header(scan.xml))
        for acquisition in scan:
            host.say(wire.Data(acquisition))
        heard = host.say(wire.Close()).hear()
        assert isinstance(heard[-1], wire.Close)
        assert process.wait() == 0
    return [event.item for event in heard if isinstance(event, wire.Data)]


def by_place(images):
    return {(i.image_series_index, i.image_index): i for i in images}


IMAGES_PER_SLICE = {"mrf_t1ff": 15, "mrf_t1ff_net": 15, "mrf_t1t2": 8, "mrf_t1t2_net": 9}
FIELDS_OF_VIEW_MM = {
    "mrf_t1ff": (350, 350, 8), "mrf_t1ff_net": (350, 350, 8), "mrf_t1t2": (256, 256, 8), "mrf_t1t2_net": (256, 256, 8),
}  # fmt: skip
SEQUENCES = {
    "mrf_t1ff": "t1ff-2d-1400, 1400 spokes",
    "mrf_t1ff_net": "t1ff-2d-1400, 1400 spokes",
    "mrf_t1t2": "fisp-song-200, 200 spokes",
    "mrf_t1t2_net": "fisp-fang-576, 576 spokes",
}
SOURCES = {
    "mrf_t1ff": ("dictionary", "closed form"),
    "mrf_t1ff_net": ("network", "ours"),
    "mrf_t1t2": ("dictionary", "phase graphs"),
    "mrf_t1t2_net": ("network", "ours-fisp-576"),
}


@pytest.fixture(scope="module", params=list(IMAGES_PER_SLICE))
def pipeline(request):
    return request.param


@pytest.fixture(scope="module")
def scan(scan_path, pipeline, tmp_path_factory):
    """Two slices in a sequence for the pipeline. Muscle has a T1 and a T2 too, and is simulated faster than a brain."""
    if "t1ff" in pipeline:
        return read_scan(scan_path)
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    settings = SimulationSettings(
        matrix=37, fov_mm=256, coils=3, slices=2, seed=3, sequence=SEQUENCES[pipeline].split(",")[0]
    )
    simulate_scan(path, settings)
    return read_scan(path)


@pytest.fixture(scope="module")
def expected(scan, pipeline):
    return by_place(inline(scan, pipeline))


@pytest.fixture(scope="module")
def sent(scan, pipeline, tmp_path_factory):
    """The images of one session over TCP, and what the server recorded of it."""
    folder = tmp_path_factory.mktemp("recording")
    with local_server(record=folder) as port:
        images = send_scan(scan.xml, scan, port=port, config=pipeline).images
    (recording,) = folder.glob("*.spokes")
    return images, recording


@pytest.mark.parametrize("run", [replayed, over_tcp, from_the_recording, in_gadgetron])
def test_the_same_images_bit_for_bit(run, scan, pipeline, sent, expected, tmp_path):
    images = by_place(run(scan, pipeline, sent, tmp_path))
    assert images.keys() == expected.keys()
    assert len(expected) == 2 * IMAGES_PER_SLICE[pipeline]  # of two slices
    for place, image in images.items():
        assert image.data.tobytes() == expected[place].data.tobytes()
        assert dict(image.meta) == dict(expected[place].meta)
        # the last field, the length of the metadata, is set by whoever writes them
        assert bytes(image.getHead())[:-4] == bytes(expected[place].getHead())[:-4]


def test_geometry_is_that_of_each_slice_and_provenance_is_told(scan, pipeline, expected):
    first = {}
    for acquisition in scan:
        if not acquisition.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            first.setdefault(acquisition.idx.slice, acquisition)
    for (_, index), image in expected.items():
        spoke = first[index - 1]
        for field in ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position"):
            assert list(getattr(image, field)) == list(getattr(spoke, field))
        assert image.slice == index - 1
        assert tuple(image.field_of_view) == pytest.approx(FIELDS_OF_VIEW_MM[pipeline])
        assert image.meta["spokestream_trajectory"] == "embedded"
        assert image.meta["spokestream_sequence"] == SEQUENCES[pipeline]
        made_by, source = SOURCES[pipeline]
        assert image.meta[f"spokestream_{made_by}"].startswith(source)
        assert "noise samples" in image.meta["spokestream_noise"]


def test_frames_and_compressed_basis_give_nearly_the_same_maps(scan_path):
    scan = read_scan(scan_path)
    frames, expected = (
        by_place(reconstruct(scan, select("mrf_t1ff").with_parameters({"basis": basis, "refine": "off"}))[0])
        for basis in ("frames", "compressed")
    )
    for series, tolerance in ((101, 0.02), (105, 0.05)):  # fat fraction, B1
        a, b = (stored_to_physical(images[series, 1])[2] for images in (frames, expected))
        both = (a > 0) & (b > 0)
        assert np.median(np.abs(a - b)[both]) < tolerance / 4
        assert np.mean(np.abs(a - b)[both] < tolerance) > 0.9
