"""Reconstructs all scans of an archive by the workers of Dask, and continues where an earlier run ended."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spokestream import __version__
from spokestream.dask_workers import cores_and_memory, dask_client, is_remote, load_dask
from spokestream.errors import InputError
from spokestream.pipelines.archive.discovery import FoundScan, find_scans
from spokestream.pipelines.archive.identity import copies, digest_of, state_of
from spokestream.pipelines.archive.labels import find_labels
from spokestream.pipelines.archive.record import FAILED, SAME_SCAN, ScanRecord, read_record
from spokestream.pipelines.archive.scan_task import ScanTask, run_task
from spokestream.pipelines.archive.workers import largest_plan, plan_workers, remote_workers
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.selection import Selection, select
from spokestream.pipelines.settings import AUTO
from spokestream.whole_files import check_writable

__all__ = ["ArchiveSettings", "replay_archive"]

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class ArchiveSettings:
    """How the scans of an archive are reconstructed, and by whom."""

    pipeline: str | None = None
    """The name of the pipeline; by default the one that each scan needs."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the pipeline. `threads` is by default such that all workers together have one for each core."""
    formats: Formats = field(default_factory=Formats)
    labels: Path | None = None
    """The folder of the labels."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers see all files under the same names; None, or `local`, uses processes of
    this machine."""
    workers: int | None = None
    """Number of processes on this machine; by default as many as cores and memory allow."""


def replay_archive(
    archive: Path, results: Path, settings: ArchiveSettings, progress: Progress | None = None
) -> list[ScanRecord]:
    """Reconstruct every scan in a folder and below it; returns what became of each, sorted by name.

    The results of a scan are those of a single replay, in the folder `results/<name>`. A scan whose results are
    complete is not reconstructed again. Of scans with the same content, one is reconstructed. A scan whose worker dies
    is given to another, up to three times.

    Args:
        archive: the folder of the scans.
        results: the folder of the results; made if it does not exist.
        settings: how the scans are reconstructed.
        progress: called with the number of scans that are done and the number of all.

    Raises InputError for an unknown pipeline or setting, if there is no scan, if Dask is missing or if no scheduler
    answers, and FileError if the results cannot be written.

    """
    selection = select(settings.pipeline or AUTO).with_parameters(settings.parameters, trusted=True)
    settings.formats.check()
    if settings.formats.dicom_from:
        raise InputError("An archive has many patients, so that --dicom-from, which names one, cannot be used.")
    load_dask("Archives are reconstructed")
    scans = find_scans(archive, results)
    check_writable(results)
    tasks = _tasks(scans, results.absolute(), settings, selection)
    records = _copied(tasks)
    records |= {
        task.name: task.record
        for task in tasks
        if task.name not in records and task.record and task.record.labels == task.labels_digest
    }
    waiting = [task for task in tasks if task.name not in records]
    report = progress or (lambda done, total: None)
    report(len(records), len(tasks))
    for record in _run(waiting, settings, selection) if waiting else ():
        records[record.scan] = record
        report(len(records), len(tasks))
    return [records[task.name] for task in tasks]


def _tasks(
    scans: Sequence[FoundScan], results: Path, settings: ArchiveSettings, selection: Selection
) -> list[ScanTask]:
    """The task of every scan, with the record of an earlier run if its maps are those that are wanted."""
    values = {name: _anywhere(getattr(selection.settings, name, given)) for name, given in settings.parameters.items()}
    digest = _settings_digest(settings, values)
    tasks = []
    for scan in scans:
        labels = find_labels(settings.labels.absolute(), scan.name) if settings.labels else None
        folder = results / scan.name
        record = read_record(folder)
        tasks.append(
            ScanTask(
                scan.name,
                scan.path,
                folder,
                settings.pipeline,
                values,
                settings.formats,
                digest,
                labels,
                digest_of(labels) if labels else "",
                record if record and record.holds_for(folder, scan.path, digest, __version__) else None,
            )
        )
    return tasks


def _anywhere(value: Any) -> Any:
    """The value of a setting with the absolute path of a file, because workers have folders of their own."""
    if isinstance(value, Path):
        return value.absolute()
    is_file = isinstance(value, str) and value.endswith((".toml", ".seq"))
    return str(Path(value).absolute()) if is_file else value


def _settings_digest(settings: ArchiveSettings, values: Mapping[str, Any]) -> str:
    """A digest of everything that determines the results, except the software; files count with size and time.

    The number of threads does not change the maps.
    """
    described: dict[str, Any] = {
        "pipeline": settings.pipeline,
        "formats": [settings.formats.bids, settings.formats.dicom],
    }
    for name, value in sorted(values.items()):
        if name != "threads":
            described[name] = [
                str(value),
                *(asdict(state_of(Path(value))).values() if Path(str(value)).is_file() else ()),
            ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _copied(tasks: Sequence[ScanTask]) -> dict[str, ScanRecord]:
    """The records of scans that are copies of another one, preferably of one that was reconstructed before."""
    by_path = {task.path: task for task in tasks}
    records: dict[str, ScanRecord] = {}
    for paths in copies(by_path):
        original, *others = sorted((by_path[path] for path in paths), key=lambda task: task.record is None)
        sentence = f"The same scan as {original.name}; it was reconstructed once."
        records |= {task.name: ScanRecord(task.name, SAME_SCAN, sentence) for task in others}
    return records


def _run(tasks: Sequence[ScanTask], settings: ArchiveSettings, selection: Selection) -> Iterator[ScanRecord]:
    """Run the tasks on the workers; yields the record of every scan when it is finished."""
    distributed = load_dask("Archives are reconstructed")
    plan = largest_plan((task.path for task in tasks if not task.record), selection)
    threads = settings.parameters.get("threads")
    workers = plan_workers(len(tasks), plan, *cores_and_memory(), settings.workers, threads and int(threads))
    with dask_client(settings.scheduler, workers.number, workers.threads) as client:
        if is_remote(settings.scheduler):
            workers = remote_workers(client.scheduler_info()["workers"].values(), plan)
        tasks = [replace(task, parameters={"threads": workers.threads, **task.parameters}) for task in tasks]
        futures = client.map(run_task, tasks, key=[f"scan-{task.name}" for task in tasks], pure=False)
        names = {future.key: task.name for future, task in zip(futures, tasks, strict=True)}
        for future in distributed.as_completed(futures):
            yield future.result() if future.status == "finished" else _lost(names[future.key], future)


def _lost(name: str, future: Any) -> ScanRecord:
    """The record of a scan that no worker could finish."""
    error = None if future.cancelled() else future.exception()
    if error is None:
        sentence = "The scheduler dropped the scan; start the command again, which continues."
    elif type(error).__name__ == "KilledWorker":
        sentence = "Every worker that had the scan died, perhaps for lack of memory; try it alone, with one file."
    else:
        sentence = f"The worker could not run the task: {type(error).__name__}: {error}"
    return ScanRecord(name, FAILED, " ".join(sentence.split()))
