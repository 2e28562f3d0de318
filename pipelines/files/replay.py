"""Offline reconstruction: a recorded scan runs through the same chain as at the scanner, as fast as possible."""

import logging
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import ismrmrd

from spokestream.errors import FileError, ScanError
from spokestream.gadgets.stored_maps.provisional import is_provisional
from spokestream.pipelines.files.formats import Formats
from spokestream.pipelines.files.image_notes import integrity_rows
from spokestream.pipelines.files.message_scan import RecordedScan
from spokestream.pipelines.files.message_stream import MessageStream
from spokestream.pipelines.files.outputs import ReconstructionReport, whole_slices, write_outputs
from spokestream.pipelines.files.scan_source import ScanSource, open_scan
from spokestream.pipelines.files.warnings_to import warnings_to
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import Selection, select, start_scan
from spokestream.pipelines.settings import AUTO
from spokestream.whole_files import check_writable

__all__ = ["check_output", "open_chosen", "peak_memory_mb", "reconstruct", "replay", "replay_to_stream"]

LOG = logging.getLogger("spokestream")

Progress = Callable[[int, int | None], None]
"""A function that is called with the number of acquisitions done and the number of all, None if it is unknown."""


def replay(
    path: str | Path,
    out_dir: str | Path,
    pipeline: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    formats: Formats | None = None,
) -> ReconstructionReport:
    """Reconstruct a scan from a file, and write maps, pictures and report into a directory.

    The path of the results, the formats, the pipeline and the settings are checked before the work begins.

    Args:
        path: the file: ISMRMRD in HDF5, a stream of messages, or the recording of a session; `-` is a stream on
            standard input.
        out_dir: where to write; made if it does not exist.
        pipeline: the name of the pipeline, or XML. By default it is the one that has the given settings and whose maps
            the sequence encodes; a recording is reconstructed with the pipeline and the settings that its client asked
            for.
        parameters: settings of the pipeline.
        progress: called after every acquisition.
        formats: which formats are wanted besides ISMRMRD, NIfTI and pictures; by default none.

    Raises InputError for an unknown pipeline or setting, ScanError when the scan cannot be read or reconstructed,
    FileError when the results cannot be written.

    """
    formats = formats or Formats()
    formats.check()
    source, chosen = open_chosen(path, pipeline, parameters)
    check_output(Path(path), Path(out_dir))
    images, report = reconstruct(source, chosen, progress)
    values = {name: getattr(chosen.settings, name, given) for name, given in (parameters or {}).items()}
    report.parameters = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    report.source = str(path)
    return write_outputs(out_dir, images, source.xml, report, formats)


def replay_to_stream(
    path: str | Path,
    pipe: BinaryIO,
    pipeline: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ReconstructionReport:
    """Reconstruct a scan and write its images into a pipe as they come, as a stream of messages.

    The stream is HEADER, the IMAGEs, warnings as TEXT `WARNING ...`, and CLOSE. After a failure it ends with TEXT
    `ERROR ...` and CLOSE. The other arguments, and the errors, are those of `replay`.
    """
    source, chosen = open_chosen(path, pipeline, parameters)
    with MessageStream(pipe, source.xml) as stream, warnings_to(stream.warning):
        images, report = reconstruct(source, chosen, progress, stream.write)
    report.source, report.integrity = str(path), integrity_rows(images)
    return report


def open_chosen(
    path: str | Path, pipeline: str | None, parameters: Mapping[str, Any] | None
) -> tuple[ScanSource, Selection]:
    """The scan in a file, and the pipeline with its settings; see `replay`."""
    source = open_scan(path)
    if isinstance(source, RecordedScan) and pipeline is None:
        asked, _ = select(source.config).as_console_asks(source.parameters)
    else:
        asked = select(pipeline or AUTO)
    return source, asked.with_parameters(parameters or {}, trusted=True)


def check_output(scan: Path, folder: Path) -> None:
    """Raises FileError if the results cannot be written, or would replace the scan. Leaves no folder behind."""
    if scan.exists() and (folder / "maps.h5").exists() and (folder / "maps.h5").samefile(scan):
        raise FileError(f"The maps would replace the scan {scan}; name another folder for the results.")
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        check_writable(folder)
    finally:
        for place in made:
            if place.is_dir():
                place.rmdir()


def reconstruct(
    source: ScanSource,
    selection: Selection,
    progress: Progress | None = None,
    on_image: Callable[[ismrmrd.Image], None] | None = None,
) -> tuple[list[ismrmrd.Image], ReconstructionReport]:
    """Reconstruct a scan; returns its final images in the order in which they came from the chain, and the report.

    Args:
        source: the scan.
        selection: the pipeline and its settings.
        progress: called after every acquisition.
        on_image: called with every image as soon as it is there, and with those of provisional maps.

    If the scan breaks off after some slices, these slices are returned, with a warning; unless its integrity is strict.

    Raises SpokestreamError if the scan cannot be reconstructed, and ScanError if it gives no map at all.
    """
    images: list[ismrmrd.Image] = []
    begin = arrived = last_map = perf_counter()
    done = 0

    def readouts() -> Iterator[ismrmrd.Acquisition]:
        nonlocal arrived, done
        for acquisition in source:
            done += 1
            arrived = perf_counter()
            yield acquisition
            if progress:
                progress(done, source.n_acquisitions)

    warnings: list[str] = []
    with warnings_to(warnings.append):
        chain = start_scan(selection, source.xml, LOG)
        try:
            for item in run_chain(chain, readouts()):
                if isinstance(item, ismrmrd.Image):
                    if not is_provisional(item):
                        images.append(item)
                        last_map = perf_counter()
                    if on_image:
                        on_image(item)
        except ScanError as error:
            images = whole_slices(images)
            if not images or selection.settings.integrity == "strict":
                raise
            slices = sorted({image.slice + 1 for image in images})
            LOG.warning(
                "The scan is incomplete, and only %s could be reconstructed: %s",
                f"slice {slices[0]}" if len(slices) == 1 else f"{len(slices)} slices", error,
            )  # fmt: skip
    if not images:
        raise ScanError("The scan ended without a single map: no slice was complete enough to reconstruct.")
    return images, ReconstructionReport(
        source="",
        pipeline=selection.name,
        parameters={},
        acquisitions=done,
        images=len(images),
        total_s=last_map - begin,
        latency_s=max(0.0, last_map - arrived),
        peak_memory_mb=peak_memory_mb(),
        warnings=warnings,
    )


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB on Linux
