"""Runs the tasks of an archive on the workers of Dask."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from spokestream.dask_workers import load_dask, planned_client
from spokestream.pipelines.archive.archive_settings import ArchiveSettings
from spokestream.pipelines.archive.record import FAILED, ScanRecord
from spokestream.pipelines.archive.scan_task import ScanTask, run_task
from spokestream.pipelines.archive.scans.largest_plan import largest_plan

__all__ = ["WORK", "run_tasks"]

WORK = "Archives are reconstructed"
KEY = "scan-"
"""Beginning of the name of a task, which the dashboard of Dask shows."""


def run_tasks(tasks: Sequence[ScanTask], settings: ArchiveSettings) -> Iterator[ScanRecord]:
    """Run the tasks; yields the record of every scan when it is finished.

    Large scans go first, so that no worker begins one when the others have nothing left to do.

    Raises InputError if no scheduler answers.
    """
    distributed = load_dask(WORK)
    plan = largest_plan((task.path for task in tasks), settings.selection())
    threads = settings.values().get("threads")
    with planned_client(settings.scheduler, len(tasks), plan, settings.workers, threads) as (client, workers):
        ordered = sorted(tasks, key=lambda task: -task.path.stat().st_size)
        ordered = [replace(task, parameters={"threads": workers.threads, **task.parameters}) for task in ordered]
        keys = [f"{KEY}{task.name}" for task in ordered]
        # no list of the futures is kept: what a worker holds for one would be made again if the worker dies
        for future in distributed.as_completed(client.map(run_task, ordered, key=keys, pure=False)):
            try:
                yield future.result()
            except Exception as error:  # noqa: BLE001  whatever Dask reports of one task
                yield _lost(future.key.removeprefix(KEY), error)
            future.release()


def _lost(name: str, error: Exception) -> ScanRecord:
    """The record of a scan that no worker could finish."""
    if type(error).__name__ == "KilledWorker":
        sentence = "Every worker that had the scan died, perhaps for lack of memory; replay it alone to see why."
    else:
        sentence = f"No worker could run the task: {type(error).__name__}: {error}"
    return ScanRecord(name, FAILED, " ".join(sentence.split()))
