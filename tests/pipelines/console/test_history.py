import json
import logging
import threading

import numpy as np
import pytest
from map_image_examples import example_images

from spokestream.errors import FileError
from spokestream.gadgets.stored_maps.levels import stored_to_physical
from spokestream.pipelines.console.history import History
from spokestream.pipelines.console.scan_record import ScanRecord
from spokestream.pipelines.files.map_file import read_map_file

MUCH = 1 << 30


def record(n=0, **fields):
    return ScanRecord(f"20261126T09{n:02d}00.000Z_0123abcd", f"2026-11-26T09:{n:02d}:00.000+00:00", **fields)


@pytest.fixture
def open_history(tmp_path):
    """Open a history in the same folder again and again; each is closed when the next one is opened, or at the end."""
    opened = []

    def make(most_scans=100, most_bytes=MUCH):
        if opened:
            opened.pop().close()
        opened.append(History(tmp_path / "history", most_scans, most_bytes))
        return opened[0]

    yield make
    for history in opened:
        history.close()


def test_a_map_is_read_as_it_was_sent(open_history):
    images = example_images(2)
    history = open_history()
    history.add(record(), images, "<header/>")
    scan = history.records[0].id
    for image in images:
        name, _, values = stored_to_physical(image)
        found = history.slice_of(scan, name, image.slice)
        assert found.dtype == np.float32
        valid = np.isfinite(found)
        assert valid.any()
        np.testing.assert_array_equal(found[valid], values[valid])
        assert np.all(values[~valid] == 0)


def test_water_t1_is_not_a_number_in_fat(open_history):
    images = example_images()
    images[0].data[:] *= 2  # the fat fraction, which is then up to 0.92
    history = open_history()
    history.add(record(), images, "<header/>")
    ff, t1 = (history.slice_of(history.records[0].id, name, 0) for name in ("ff", "t1h2o"))
    tissue = np.isfinite(ff)
    np.testing.assert_array_equal(np.isfinite(t1), tissue & (ff < 0.7))
    assert np.sum(ff >= 0.7) > 5


def test_the_images_themselves_are_kept_unchanged(open_history):
    images = example_images(2)
    history = open_history()
    history.add(record(), images, "<header/>")
    found = read_map_file(history.map_images(history.records[0].id))[0]
    assert sorted(image.getHead().image_series_index for image in found) == sorted(
        image.getHead().image_series_index for image in images
    )
    for kept, sent in zip(found, sorted(images, key=lambda i: (i.image_series_index, i.slice)), strict=True):
        np.testing.assert_array_equal(kept.data, sent.data)
        assert dict(kept.meta) == dict(sent.meta)


def test_the_details_say_how_maps_are_shown(open_history):
    history = open_history()
    history.add(record(), example_images(2), "<header/>")
    shown = json.loads(history.details(history.records[0].id))["shown"]
    assert shown["shape"] == [2, 9, 14]
    assert shown["pixel_mm"] == [20, 30]
    assert [one["name"] for one in shown["maps"]] == ["ff", "t1h2o", "deltaf"]
    ff, t1, _ = shown["maps"]
    assert (ff["low"], ff["high"], ff["logarithmic"], ff["colours"]) == (0, 1, False, "magma")
    assert (t1["low"], t1["high"], t1["logarithmic"], t1["colours"]) == (500, 2300, True, "crameri:lipari")
    assert (t1["unit"], t1["valid"], t1["standard_deviation"]) == ("ms", "FF < 0.7", None)
    assert [one["slice"] for one in shown["slices"]] == [0, 1]
    assert shown["slices"][0]["left"] == "RA"  # read direction (0.8, 0.6, 0) towards left and posterior
    assert shown["counts"]["missing"] == 1  # slice z has z missing spokes
    assert shown["provenance"]["trajectory"] == "embedded"


def test_a_restart_keeps_the_history(open_history):
    first = open_history()
    first.add(
        record(1, protocol="thigh", outcome="finished", warnings=["Careful."], n_warnings=1), example_images(), ""
    )
    first.add(record(2, outcome="refused", sentence="No."), [], "")
    before = first.records
    again = open_history()
    assert again.records == before
    assert [one.id for one in before] == [record(2).id, record(1).id]
    assert again.slice_of(record(1).id, "ff", 0).shape == (9, 14)


def test_a_scan_without_maps_is_kept_without_them(open_history):
    history = open_history()
    history.add(record(outcome="failed", sentence="A readout holds NaN."), [], "<header/>")
    assert json.loads(history.details(record().id))["shown"] is None
    with pytest.raises(KeyError):
        history.map_images(record().id)
    with pytest.raises(KeyError):
        history.slice_of(record().id, "ff", 0)


def test_slices_that_lack_a_map_are_left_out(open_history):
    history = open_history()
    history.add(record(), example_images(3)[:-1], "")
    assert json.loads(history.details(record().id))["shown"]["shape"] == [2, 9, 14]


def test_images_that_are_no_maps_are_left_out_with_a_warning(open_history):
    images = example_images()
    meta = images[0].meta
    del meta["spokestream_map"]
    images[0].meta = meta
    history = open_history()
    history.add(record(), images, "")
    (found,) = history.records
    assert found.maps == []
    assert found.warnings == [
        "The maps are not in the history: the image is not a map of spokestream: its metadata lack name, unit or slope."
    ]
    assert found.n_warnings == 1


ABSENT = {
    "another scan": ("20261126T090000.000Z_ffffffff", "ff", 0),
    "a path": (record().id, "../ff", 0),
    "another map": (record().id, "b1", 0),
    "another slice": (record().id, "ff", 1),
    "a negative slice": (record().id, "ff", -1),
}


@pytest.mark.parametrize("what", ABSENT)
def test_what_is_not_kept_is_not_found(what, open_history):
    history = open_history()
    history.add(record(), example_images(), "")
    with pytest.raises(KeyError):
        history.slice_of(*ABSENT[what])


def test_the_oldest_scans_are_deleted_beyond_the_number(open_history, tmp_path):
    history = open_history(most_scans=3)
    for n in range(5):
        history.add(record(n), example_images(), "")
    expected = [record(n).id for n in (4, 3, 2)]
    assert [one.id for one in history.records] == expected
    assert sorted(path.name for path in (tmp_path / "history").glob("2*")) == sorted(expected)


def test_the_oldest_scans_are_deleted_beyond_the_bytes(open_history, tmp_path):
    history = open_history()
    history.add(record(0), example_images(), "")
    size = sum(path.stat().st_size for path in (tmp_path / "history" / record(0).id).iterdir())
    history = open_history(most_bytes=int(2.5 * size))
    assert len(history.records) == 1
    for n in (1, 2):
        history.add(record(n), example_images(), "")
    assert [one.id for one in history.records] == [record(2).id, record(1).id]


def test_smaller_limits_hold_from_the_restart_on(open_history):
    history = open_history()
    for n in range(3):
        history.add(record(n), [], "")
    assert [one.id for one in open_history(most_scans=1).records] == [record(2).id]


def test_a_scan_larger_than_all_of_the_history_is_not_kept_with_a_warning(open_history, caplog):
    history = open_history(most_bytes=1000)
    history.add(record(), example_images(), "")
    assert history.records == []
    assert "larger than history_bytes" in caplog.text


def test_a_scan_that_could_not_be_written_leaves_nothing(open_history, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    history = open_history()
    monkeypatch.setattr("spokestream.pipelines.console.history.np.save", full)
    with pytest.raises(FileError, match="no space left"):
        history.add(record(), example_images(), "")
    assert history.records == []
    assert [path.name for path in (tmp_path / "history").iterdir()] == [".lock"]


def test_an_unfinished_scan_of_a_killed_node_is_removed(open_history, tmp_path):
    unfinished = tmp_path / "history" / f".unfinished-{record().id}"
    unfinished.mkdir(parents=True)
    (unfinished / "maps.h5").write_bytes(b"half")
    assert open_history().records == []
    assert not unfinished.exists()


DAMAGES = {
    "no record": lambda folder: (folder / "scan.json").unlink(),
    "half a record": lambda folder: (folder / "scan.json").write_text('{"format": 1'),
    "another version": lambda folder: (folder / "scan.json").write_text('{"format": 99}'),
    "no object": lambda folder: (folder / "scan.json").write_text("[]"),
    "another scan's record": lambda folder: (folder / "scan.json").write_text(
        json.dumps({"format": 1, "shown": None, **record(9).as_json()})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_scan_is_not_shown_but_stays_and_the_others_are(damage, open_history, tmp_path, caplog):
    history = open_history()
    for n in (1, 2):
        history.add(record(n), [], "")
    DAMAGES[damage](tmp_path / "history" / record(1).id)
    with caplog.at_level(logging.WARNING):
        assert [one.id for one in open_history().records] == [record(2).id]
    assert "cannot be read and is not shown" in caplog.text
    assert (tmp_path / "history" / record(1).id).exists()


def test_foreign_files_in_the_folder_stay(open_history, tmp_path):
    (tmp_path / "history").mkdir()
    (tmp_path / "history/notes.txt").write_text("ours")
    history = open_history(most_scans=1)
    for n in range(3):
        history.add(record(n), [], "")
    assert (tmp_path / "history/notes.txt").read_text() == "ours"


def test_two_nodes_cannot_share_a_folder(open_history, tmp_path):
    open_history()
    with pytest.raises(FileError, match="Another node keeps its history in"):
        History(tmp_path / "history", 10, MUCH)


def test_a_reader_sees_whole_lists_while_scans_are_added(open_history):
    history, lists = open_history(most_scans=4), []
    done = threading.Event()

    def read():
        while not done.is_set():
            lists.append([one.id for one in history.records])

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(30):
        history.add(record(n), [], "")
    done.set()
    reader.join()
    assert all(ids == sorted(ids, reverse=True) and len(ids) <= 5 for ids in lists)


def test_refused_scans_do_not_push_out_maps(open_history):
    history = open_history(most_scans=8)
    history.add(record(0), example_images(), "<header/>")
    for n in range(1, 20):
        history.add(record(n), [], "<header/>")
    assert [scan.id for scan in history.records] == [record(n).id for n in (19, 18, 0)]
    assert [scan.id for scan in open_history(most_scans=8).records] == [record(n).id for n in (19, 18, 0)]
