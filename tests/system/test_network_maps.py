"""The network's pipeline in a whole node, with a random network, because its maps need not be right."""

import logging
from functools import partial
from threading import Thread

import ismrmrd
import numpy as np
import pytest
from toy_network import FIVE_MAPS, write_toy_archive

from spokestream.errors import ScanError
from spokestream.pipelines.client import ClientError, send_scan
from spokestream.pipelines.files.message_scan import RecordedScan
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.node.server import local_server
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import configure, select, start_scan
from spokestream.simulator.physics.sequences.loading import load_sequence

PIPELINE = "mrf_t1ff_net"
MAPS = ["ff", "t1h2o", "t1fat", "deltaf", "b1", "pd", "phase", "residual", "misfit", "trust", "ff_std", "t1h2o_std"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "mine.pt"
    write_toy_archive(path, sequence=load_sequence("t1ff-2d-1400"), outputs=FIVE_MAPS, tile=16, efficiency=(0.7, 1.0))
    return configure({"archive": str(path), "device": "cpu"})


def by_place(images):
    return {(i.meta["spokestream_map"], i.image_index): i for i in images}


def inline(scan, settings, threads=2):
    selection = select(PIPELINE, settings=settings).with_parameters({"threads": str(threads)}, trusted=True)
    chain = start_scan(selection, scan.xml, logging.getLogger("test"))
    return by_place(item for item in run_chain(chain, scan) if isinstance(item, ismrmrd.Image))


@pytest.fixture(scope="module")
def expected(scan, settings):
    return inline(scan, settings)


def same(images, expected):
    assert images.keys() == expected.keys()
    return all(
        image.data.tobytes() == expected[place].data.tobytes() and dict(image.meta) == dict(expected[place].meta)
        for place, image in images.items()
    )


def test_all_maps_of_every_slice_have_the_name_of_the_network(expected):
    assert sorted(expected) == sorted((name, index) for name in MAPS for index in (1, 2))
    for image in expected.values():
        assert image.meta["spokestream_network"].startswith("toy, ")
        assert image.meta["spokestream_basis"].startswith("of the network, ")
        assert (
            0.7 < float(image.meta["spokestream_inversion_efficiency"]) < 1
        )  # at a limit it would not depend on the scan
    assert expected["t1h2o", 1].data.max() > 0


def test_the_number_of_threads_changes_no_bit(scan, settings, expected):
    assert same(inline(scan, settings, threads=1), expected)


def test_sessions_that_share_the_network_and_the_recording_give_the_same_bits(scan, settings, expected, tmp_path):
    replies, readouts = [], list(scan)  # HDF5 reads its lists from one thread at a time

    def send():
        replies.append(send_scan(scan.xml, readouts, port=port, config=PIPELINE))

    with local_server(record=tmp_path, select=partial(select, settings=settings)) as port:
        clients = [Thread(target=send) for _ in range(2)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert len(replies) == 2
    for reply in replies:
        assert same(by_place(reply.images), expected)
    source = RecordedScan(next(tmp_path.glob("*.spokes")))
    images, _ = reconstruct(source, select(source.config, settings=settings))
    assert same(by_place(images), expected)


def test_a_scan_of_another_sequence_is_refused_before_its_first_spoke(scan, settings):
    other_recovery = scan.xml.replace(
        "</userParameters>",
        "<userParameterDouble><name>mrf_recovery_ms</name><value>1</value></userParameterDouble></userParameters>",
    )
    with pytest.raises(ScanError, match="made for another sequence than this scan's: recovery_ms"):
        start_scan(select(PIPELINE, settings=settings), other_recovery, logging.getLogger("test"))


def test_a_network_that_does_not_exist_is_refused_in_one_sentence(scan, first_slice, port):
    with pytest.raises(ClientError, match="There is no network 'theirs'; known are"):
        send_scan(scan.xml, first_slice[:20], port=port, config=PIPELINE, parameters={"network": "theirs"})


def test_missing_frames_are_refilled(scan, settings, expected, caplog):
    lacking = [a for a in scan if not 400 <= a.idx.kspace_encode_step_1 < 416 or a.idx.slice]
    chain = start_scan(select(PIPELINE, settings=settings), scan.xml, logging.getLogger("test"))
    images = by_place(item for item in run_chain(chain, lacking) if isinstance(item, ismrmrd.Image))
    assert "Slice 1 lacks 2 of 175 frames" in caplog.text
    assert same({key: images[key] for key in images if key[1] == 2}, {k: v for k, v in expected.items() if k[1] == 2})
    whole, refilled = (np.asarray(maps["ff", 1].data, float) for maps in (expected, images))
    both = (whole > 0) & (refilled > 0)
    assert both.sum() > 0.9 * (whole > 0).sum()
    assert 0 < np.abs(whole - refilled)[both].mean() < 0.02 * whole.max()
