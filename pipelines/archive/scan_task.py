"""The task of a worker: it reconstructs one scan, computes the values of its regions, and writes its record."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

from spokestream.errors import FileError, InputError, SpokestreamError
from spokestream.pipelines.archive.folder_lock import locked_folder
from spokestream.pipelines.archive.population.labels import read_labels
from spokestream.pipelines.archive.population.scanner import scanner_of
from spokestream.pipelines.archive.population.values import region_values
from spokestream.pipelines.archive.record import DONE, FAILED, RECORD, ScanRecord, finished_record, write_record
from spokestream.pipelines.archive.scans.identity import digest_of, state_of
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.map_file import read_map_file
from spokestream.pipelines.files.outputs import scan_maps
from spokestream.pipelines.files.replay import replay

__all__ = ["ScanTask", "run_task"]

_alone = Lock()
"""A process reconstructs one scan at a time: memory is planned for one, and its warnings are those of the process."""


@dataclass(frozen=True)
class ScanTask:
    """What a worker needs to know of a scan. All paths are absolute, because a worker has a folder of its own."""

    name: str
    path: Path
    folder: Path
    """The folder of its results."""
    pipeline: str | None
    parameters: Mapping[str, Any]
    formats: Formats
    settings: str
    """Digest of pipeline, settings and formats."""
    labels: Path | None = None
    labels_digest: str = ""


def run_task(task: ScanTask) -> ScanRecord:
    """Reconstruct the scan and return its record; what goes wrong is a sentence in it.

    A worker may get a task that another one has finished, whose answer was lost. Its record is then there.
    """
    with _alone:
        try:
            with locked_folder(task.folder):
                record = finished_record(task.folder, task.path, task.settings) or _reconstructed(task)
                if record.labels != task.labels_digest or not record.values:
                    record = _with_values(record, task)
                write_record(task.folder, record)
            return record
        except (SpokestreamError, OSError) as error:
            sentence = str(error)
        except MemoryError:
            sentence = "The memory of the worker is too small for the scan; take fewer workers."
        except Exception as error:  # noqa: BLE001  a defect that one scan shows must not end the others
            sentence = f"This is a defect of spokestream: {type(error).__name__}: {error}"
        return ScanRecord(task.name, FAILED, " ".join(sentence.split()))


def _reconstructed(task: ScanTask) -> ScanRecord:
    """Reconstruct the scan as a single replay does. What a worker that was killed left in the folder is deleted."""
    begin = perf_counter()
    (task.folder / RECORD).unlink(missing_ok=True)  # until the new maps are complete, the old record is wrong
    for unfinished in task.folder.glob(".unfinished-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    state, digest = state_of(task.path), digest_of(task.path)
    report = replay(task.path, task.folder, task.pipeline, task.parameters, formats=task.formats)
    files = [*report.files, "report.json"]
    return ScanRecord(
        scan=task.name,
        outcome=DONE,
        seconds=perf_counter() - begin,
        sequence=report.provenance.get("sequence", ""),
        pipeline=report.pipeline,
        warnings=len(report.warnings),
        n_bytes=state.n_bytes,
        n_written=sum((task.folder / name).stat().st_size for name in files),
        changed_ns=state.changed_ns,
        digest=digest,
        settings=task.settings,
        versions=report.versions,
        files=files,
    )


def _with_values(record: ScanRecord, task: ScanTask) -> ScanRecord:
    """The record with scanner and values. If the labels do not fit, it has the values over tissue and a sentence."""
    images, header_xml = read_map_file(task.folder / "maps.h5")
    maps, labels, sentence = scan_maps(images), None, ""
    if task.labels:
        try:
            labels = read_labels(task.labels, next(iter(maps.images.values())))
        except (FileError, InputError) as error:
            sentence = f"The labels were not used: {error}"
    return replace(
        record,
        sentence=sentence,
        scanner=scanner_of(header_xml),
        labels=task.labels_digest,
        values=region_values(maps, labels),
    )
