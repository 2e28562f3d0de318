"""Reconstructs all scans of an archive, and continues where an earlier run ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spokestream.dask_workers import load_dask
from spokestream.pipelines.archive.archive_settings import ArchiveSettings
from spokestream.pipelines.archive.population.labels import find_labels
from spokestream.pipelines.archive.record import DONE_BEFORE, SAME_SCAN, ScanRecord, finished_record
from spokestream.pipelines.archive.running import WORK, run_tasks
from spokestream.pipelines.archive.scan_task import ScanTask
from spokestream.pipelines.archive.scans.discovery import FoundScan, find_scans
from spokestream.pipelines.archive.scans.identity import copies, digest_of
from spokestream.whole_files import check_writable

__all__ = ["replay_archive"]

Progress = Callable[[int, int], object]


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
    load_dask(WORK)
    settings.check()
    tasks = _tasks(find_scans(archive, results), results.absolute(), settings)
    check_writable(results)
    finished = {
        task.name: replace(record, outcome=DONE_BEFORE)
        for task in tasks
        if (record := finished_record(task.folder, task.path, task.settings))
    }
    records = _copied(tasks, finished)
    records |= {
        task.name: finished[task.name]
        for task in tasks
        if task.name in finished.keys() - records.keys() and finished[task.name].labels == task.labels_digest
    }
    waiting = [task for task in tasks if task.name not in records]
    report = progress or (lambda done, total: None)
    report(len(records), len(tasks))
    for record in run_tasks(waiting, settings) if waiting else ():
        known = record.scan in finished  # only its labels are new
        records[record.scan] = replace(record, outcome=DONE_BEFORE) if known else record
        report(len(records), len(tasks))
    return [_without_labels(records[task.name], task, settings) for task in tasks]


def _without_labels(record: ScanRecord, task: ScanTask, settings: ArchiveSettings) -> ScanRecord:
    """The record, which says if labels are wanted and the scan has none."""
    missing = settings.labels is not None and task.labels is None and bool(record.values)
    return replace(record, sentence=f"There are no labels of it in {settings.labels}.") if missing else record


def _tasks(scans: Sequence[FoundScan], results: Path, settings: ArchiveSettings) -> list[ScanTask]:
    values, digest = settings.values(), settings.digest()
    tasks = []
    for scan in scans:
        labels = find_labels(settings.labels.absolute(), scan.name) if settings.labels else None
        tasks.append(
            ScanTask(
                name=scan.name,
                path=scan.path,
                folder=results / scan.name,
                pipeline=settings.pipeline,
                parameters=values,
                formats=settings.formats,
                settings=digest,
                labels=labels,
                labels_digest=digest_of(labels) if labels else "",
            )
        )
    return tasks


def _copied(tasks: Sequence[ScanTask], finished: Mapping[str, ScanRecord]) -> dict[str, ScanRecord]:
    """The records of scans that are copies of another one, preferably of one that was reconstructed before."""
    by_path = {task.path: task.name for task in tasks}
    records: dict[str, ScanRecord] = {}
    for paths in copies(by_path):
        original, *others = sorted((by_path[path] for path in paths), key=lambda name: name not in finished)
        sentence = f"The same scan as {original}, and reconstructed once."
        records |= {name: ScanRecord(name, SAME_SCAN, sentence) for name in others}
    return records
