import json
import os
import shutil
import threading

import pytest

from spokestream.pipelines.archive import scan_task
from spokestream.pipelines.archive.folder_lock import locked_folder
from spokestream.pipelines.archive.record import DONE, FAILED, RECORD, finished_record
from spokestream.pipelines.archive.scan_task import ScanTask, run_task
from spokestream.pipelines.files.formats import Formats


def task_in(folder, thigh):
    scan = shutil.copy(thigh, folder / "scan.h5")
    return ScanTask("a/scan", scan, folder / "out/a/scan", None, {"threads": 1}, Formats(), "settings")


@pytest.fixture
def task(thigh, tmp_path):
    return task_in(tmp_path, thigh)


@pytest.fixture(scope="module")
def results(thigh, tmp_path_factory):
    """The record of a task that was run once, and the folder of what it wrote."""
    task = task_in(tmp_path_factory.mktemp("results"), thigh)
    return run_task(task), task.folder


@pytest.fixture
def finished(task, results):
    """A task whose results are there already."""
    shutil.copytree(results[1], task.folder)
    return task


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_scan_is_not_reconstructed_again(finished, results, monkeypatch):
    task, record = finished, results[0]
    assert (record.scan, record.outcome, record.sentence, record.warnings) == ("a/scan", DONE, "", 0)
    assert (record.sequence, record.pipeline) == ("t1ff-2d-1400, 1400 spokes", "mrf_t1ff")
    assert record.scanner == "spokestream simulator, 2.89 T"
    assert record.n_bytes == task.path.stat().st_size
    assert set(record.files) | {RECORD} == set(contents(task.folder))
    assert record.n_written == sum((task.folder / name).stat().st_size for name in record.files)
    before = contents(task.folder)
    monkeypatch.setattr(scan_task, "replay", None)  # whoever calls it fails
    assert run_task(task) == record
    assert contents(task.folder) == before


@pytest.mark.parametrize("what", ["content", "size", "settings", "version", "map", "record"])
def test_a_record_holds_only_for_the_same_scan_settings_and_software_and_complete_results(what, finished, monkeypatch):
    task, settings = finished, finished.settings
    os.utime(task.path, (1, 1))  # another time alone is no other scan
    assert finished_record(task.folder, task.path, settings) is not None
    if what in ("content", "size"):
        content = bytearray(task.path.read_bytes())
        content[len(content) // 2] ^= 1
        task.path.write_bytes(content + b"x" * (what == "size"))
    elif what == "settings":
        settings = "others"
    elif what == "version":
        monkeypatch.setattr("spokestream.pipelines.archive.record.__version__", "0.0.1")
    elif what == "map":
        (task.folder / "ff.nii.gz").unlink()
    else:
        (task.folder / RECORD).write_text((task.folder / RECORD).read_text()[:-10])
    assert finished_record(task.folder, task.path, settings) is None


def test_what_a_killed_worker_left_is_deleted_and_its_old_record_does_not_survive(finished, monkeypatch):
    task = finished
    (task.folder / ".unfinished-abc").mkdir()
    (task.folder / ".unfinished-abc/ff.nii.gz").touch()
    (task.folder / "report.json").unlink()

    def replay(*arguments, **_):
        assert not (task.folder / RECORD).exists()
        raise KeyError("beast")

    monkeypatch.setattr(scan_task, "replay", replay)
    record = run_task(task)
    assert (record.outcome, record.sentence) == (FAILED, "This is a defect of spokestream: KeyError: 'beast'")
    assert not (task.folder / ".unfinished-abc").exists()
    monkeypatch.undo()
    assert run_task(task).outcome == DONE


def test_a_worker_without_memory_says_so(task, monkeypatch):
    def replay(*arguments, **_):
        raise MemoryError

    monkeypatch.setattr(scan_task, "replay", replay)
    assert run_task(task).sentence == "The memory of the worker is too small for the scan; take fewer workers."


def test_a_broken_scan_is_a_sentence_and_leaves_no_folder(task):
    task.path.write_bytes(task.path.read_bytes()[:100_000])
    record = run_task(task)
    assert record.outcome == FAILED
    assert record.sentence.startswith(f"{task.path} is damaged: ")
    assert not task.folder.exists()


def test_two_workers_with_the_same_task_work_one_after_the_other(task):
    began, order = threading.Event(), []

    def other():
        with locked_folder(task.folder):
            began.set()
            order.append("other")

    with locked_folder(task.folder):
        thread = threading.Thread(target=other)
        thread.start()
        assert not began.wait(0.2)
        order.append("first")
        (task.folder / "file").touch()
    thread.join()
    assert order == ["first", "other"]


def test_labels_that_do_not_fit_leave_maps_and_a_sentence(task, tmp_path):
    labels = tmp_path / "scan.nii.gz"
    labels.write_bytes(b"nothing")
    record = run_task(ScanTask(**vars(task) | {"labels": labels, "labels_digest": "digest"}))
    assert record.outcome == DONE
    assert record.sentence.startswith("The labels were not used: The labels in scan.nii.gz cannot be read")
    assert {row.region for row in record.values} == {"tissue"}
    assert json.loads((task.folder / RECORD).read_text())["labels"] == "digest"
