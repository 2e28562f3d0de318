"""An archive with a broken scan and one scan twice, by two workers of which one is killed; then continued."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path

import dask
import h5py
import pytest
from distributed import KilledWorker, LocalCluster

from spokestream.pipelines.archive.archive_settings import ArchiveSettings
from spokestream.pipelines.archive.record import DONE, DONE_BEFORE, FAILED, RECORD, SAME_SCAN
from spokestream.pipelines.archive.replaying import replay_archive
from spokestream.pipelines.archive.running import _lost
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.files.formats import Formats

GOOD = ["a/one", "a/two", "b/four", "b/three"]
OUTCOMES = {
    "a/one": DONE, "a/two": DONE, "b/again": SAME_SCAN, "b/broken": FAILED, "b/four": DONE, "b/three": DONE,
}  # fmt: skip


REPLAY = """
import sys
from spokestream.pipelines.cli.main import main
archive, out, *names = sys.argv[1:]
for name in names:
    assert main(["replay", f"{archive}/{name}.h5", "--threads", "1", "-o", f"{out}/{name}"]) == 0
"""
"""Replays scans of an archive, one after the other in one process, which takes seconds to start."""


@pytest.fixture(scope="module")
def archive(thigh, noisy_copy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    for seed, name in enumerate(GOOD):
        noisy_copy(thigh, folder / f"{name}.h5", seed, scanner="old model" if name == "b/four" else "")
    shutil.copy(folder / "a/two.h5", folder / "b/again.h5")
    (folder / "b/broken.h5").write_bytes(thigh.read_bytes()[:100_000])
    shutil.copy(thigh.with_name("thigh.truth.h5"), folder / "a/one.truth.h5")
    return folder


@pytest.fixture(scope="module")
def first_run(archive, tmp_path_factory):
    """The records and the folder of a run in which a worker is killed in the middle of a scan."""
    out, killed = tmp_path_factory.mktemp("out"), []

    def kill_one(done, total):
        if done > 2 and not killed:  # one more than the scans that need no worker or are broken: both workers are busy
            workers = [process for process in active_children() if "Dask" in process.name]
            killed.append(len(workers))
            workers[0].kill()

    records = replay_archive(archive, out, ArchiveSettings(workers=2, parameters={"threads": 1}), kill_one)
    assert killed == [2]
    return records, out


def test_nothing_is_lost_when_a_worker_is_killed(first_run):
    records, out = first_run
    assert {record.scan: record.outcome for record in records} == OUTCOMES
    assert [record.scan for record in records] == sorted(OUTCOMES)
    by_name = {record.scan: record for record in records}
    assert by_name["b/again"].sentence == "The same scan as a/two, and reconstructed once."
    assert "broken.h5 is damaged" in by_name["b/broken"].sentence
    assert sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("maps.h5")) == GOOD
    assert list(out.rglob(".unfinished-*")) == []
    assert by_name["b/four"].scanner == "spokestream old model, 2.89 T"


def test_results_are_those_of_a_single_replay(archive, first_run, tmp_path):
    """In a process with as many threads as a worker has, because last bits of a basis depend on their number."""
    _, out = first_run
    one_thread = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    names = GOOD[:2]
    subprocess.run([sys.executable, "-c", REPLAY, archive, tmp_path, *names], env=one_thread, check=True)
    for name in names:
        single = {path.name: path for path in (tmp_path / name).iterdir()}
        assert {path.name for path in (out / name).iterdir()} == {*single, RECORD}
        for file, path in single.items():
            if file == "report.json":
                told, expected = (json.loads(p.read_text()) for p in (out / name / file, path))
                for key in ("total_s", "latency_s", "peak_memory_mb"):
                    del told[key], expected[key]
                assert told == expected
            elif file == "report.html":
                assert _without_seconds(out / name / file) == _without_seconds(path)
            elif file == "maps.h5":
                assert _content(out / name / file) == _content(path)
            else:
                assert (out / name / file).read_bytes() == path.read_bytes(), file


def _content(path):
    """Every dataset of a file: HDF5 leaves unused bytes between them, which differ from file to file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return {name: str(value.tolist()) if value.dtype == object else value.tobytes() for name, value in found.items()}


def _without_seconds(page):
    """A report whose times are all the same."""
    return re.sub(r"\d+(\.\d+)? (s|ms|MB)\b", "", page.read_text())


def test_a_run_is_continued_and_the_table_says_what_became_of_every_scan(
    archive, first_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    out = shutil.copytree(first_run[1], tmp_path / "out")
    (out / "b/four" / RECORD).unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("maps.h5")}
    arguments = ["replay", str(archive), "-o", str(out), "--workers", "1", "--threads", "1", "--labels", str(archive)]
    assert main(arguments) == 1
    after = {path: path.stat().st_mtime_ns for path in out.rglob("maps.h5")}
    assert [path.parent.name for path in before if after[path] != before[path]] == ["four"]
    with (out / "scans.csv").open() as file:
        rows = {row["scan"]: row for row in csv.DictReader(file)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        name: DONE_BEFORE if outcome == DONE and name != "b/four" else outcome for name, outcome in OUTCOMES.items()
    }
    assert (rows["b/four"]["sequence"], rows["b/four"]["pipeline"]) == ("t1ff-2d-1400, 1400 spokes", "mrf_t1ff")
    no_labels = f"There are no labels of it in {archive}."
    assert [rows[name]["sentence"] for name in GOOD] == ["", no_labels, no_labels, no_labels]
    assert [row["scan"] for row in json.loads((out / "scans.json").read_text())] == sorted(OUTCOMES)
    printed = capsys.readouterr()
    assert "1 done, 3 done before, 1 failed, 1 same scan." in printed.out
    assert "b/broken" in printed.out
    assert "error: 1 of 6 scans failed; the table says why." in printed.err
    assert (out / "population.html").read_text().count(no_labels) == 3
    with (out / "population.csv").open() as file:
        values = list(csv.DictReader(file))
    assert {row["scan"] for row in values} == set(GOOD)
    assert {row["scan"] for row in values if row["region"] != "tissue"} == {"a/one"}  # the only one with labels
    assert {row["scanner"] for row in values} == {"spokestream simulator, 2.89 T", "spokestream old model, 2.89 T"}


def test_nothing_is_started_when_everything_is_done(archive, first_run, tmp_path, monkeypatch):
    out = shutil.copytree(first_run[1], tmp_path / "out")
    good = shutil.copytree(archive, tmp_path / "archive")
    (good / "b/broken.h5").unlink()
    monkeypatch.setattr("spokestream.pipelines.archive.replaying.run_tasks", None)
    records = replay_archive(good, out, ArchiveSettings(parameters={"threads": "2"}))  # threads change no map
    assert {record.outcome for record in records} == {DONE_BEFORE, SAME_SCAN}


def test_workers_of_a_running_scheduler_reconstruct_too(archive, first_run, tmp_path):
    few, out = tmp_path / "few", tmp_path / "out"
    shutil.copytree(archive / "b", few / "b", ignore=shutil.ignore_patterns("again.h5"))
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        records = replay_archive(few, out, ArchiveSettings(scheduler=cluster.scheduler_address))
    outcomes = {name: OUTCOMES[name] for name in ("b/broken", "b/four", "b/three")}
    assert {record.scan: record.outcome for record in records} == outcomes
    for name in ("b/four", "b/three"):
        assert json.loads((out / name / "report.json").read_text())["parameters"] == {"threads": 2}
        of_both = [folder / name / "ff.nii.gz" for folder in (out, first_run[1])]
        assert of_both[0].read_bytes() == of_both[1].read_bytes()


def test_a_scan_whose_workers_all_died_is_a_row():
    record = _lost("a/one", KilledWorker("scan-a/one", None, 3))
    assert (record.scan, record.outcome) == ("a/one", FAILED)
    assert record.sentence.startswith("Every worker that had the scan died")
    assert "No worker could run the task: KeyError: 'x'" in _lost("a/one", KeyError("x")).sentence


def test_other_settings_and_other_files_of_settings_are_another_digest(tmp_path, monkeypatch):
    def digest(**parameters):
        return ArchiveSettings(parameters=parameters).digest()

    monkeypatch.chdir(tmp_path)
    dictionary = Path("dictionary.h5")
    dictionary.write_bytes(b"one")
    before = digest(dictionary="dictionary.h5")
    assert before == digest(dictionary=dictionary.absolute(), threads=4)
    dictionary.write_bytes(b"other")
    others = [{}, {"dictionary": dictionary}, {"virtual_coils": 4}, {"refine": "on"}]
    different = [before, *(digest(**parameters) for parameters in others)]
    different += [ArchiveSettings("mrf_t1ff").digest(), ArchiveSettings(formats=Formats(dicom=True)).digest()]
    assert len(set(different)) == len(different)
    assert digest(virtual_coils="4") == digest(virtual_coils=4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], "takes one worker or more"),
        (["--labels", "nowhere"], "There is no folder nowhere"),
        (["--dicom-from", "a.dcm"], "An archive has many patients"),
        (["--scheduler", "tcp://127.0.0.1:9"], r"No Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        (["--scheduler", "nonsense://x"], "No Dask scheduler answers at"),
        (["-o", "-"], "is a folder"),
    ],
)
def test_what_an_archive_cannot_have_is_refused_in_one_sentence(options, words, archive, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        assert main(["replay", str(archive), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_options_of_archives_are_refused_for_one_scan(archive, tmp_path, capsys):
    assert main(["replay", str(archive / "a/one.h5"), "-o", str(tmp_path), "--workers", "2"]) == 1
    assert "--workers is for a folder of scans, and" in capsys.readouterr().err
