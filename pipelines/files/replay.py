"""Offline reconstruction: a recorded scan through the same chain as at the scanner, as fast as it goes."""

import logging
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Protocol

import ismrmrd

from spokestream.errors import ScanError
from spokestream.pipelines.chains import Selection, select, start_scan
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import ReconstructionReport, write_outputs
from spokestream.pipelines.files.recorded_scan import RecordedScan, is_recording
from spokestream.pipelines.run_chain import run_chain

__all__ = ["ScanSource", "peak_memory_mb", "reconstruct", "replay"]

Progress = Callable[[int, int], None]
"""Called with the number of acquisitions done and in all."""


class ScanSource(Protocol):
    """Whatever a scan can be replayed from: a file, a recorded session."""

    @property
    def xml(self) -> str:
        """The ISMRMRD header."""

    @property
    def n_acquisitions(self) -> int:
        """How many the iteration gives."""

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """Acquisitions as they came."""


def replay(
    path: str | Path,
    out_dir: str | Path,
    config: str = "mrf_t1ff",
    parameters: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ReconstructionReport:
    """Reconstruct an ISMRMRD file, or the recording of a session, and write maps, figure and report into a directory.

    Raises ScanError when the scan cannot be read or reconstructed, OSError when the results cannot be written.
    """
    source: ScanSource
    if is_recording(Path(path)):
        source = recorded = RecordedScan(Path(path))
        selection = select(recorded.config).with_parameters(recorded.parameters)
    else:
        source, selection = read_scan(path), select(config)
    images, report = reconstruct(source, selection.with_parameters(parameters or {}, trusted=True), progress)
    report.parameters = dict(parameters or {})
    report.source = str(path)
    return write_outputs(out_dir, images, source.xml, report)


def reconstruct(
    source: ScanSource, selection: Selection, progress: Progress | None = None
) -> tuple[list[ismrmrd.Image], ReconstructionReport]:
    """Reconstruct a scan; returns its images in the order in which they came from the chain, and the report.

    Raises SpokestreamError if the scan cannot be reconstructed, and ScanError if it gives no map at all.
    """
    images: list[ismrmrd.Image] = []
    begin = arrived = last_map = perf_counter()
    chain = start_scan(selection, source.xml, logging.getLogger("spokestream"))

    def readouts() -> Iterator[ismrmrd.Acquisition]:
        nonlocal arrived
        for done, acquisition in enumerate(source, start=1):
            arrived = perf_counter()
            yield acquisition
            if progress:
                progress(done, source.n_acquisitions)

    for item in run_chain(chain, readouts()):
        if isinstance(item, ismrmrd.Image):
            images.append(item)
            last_map = perf_counter()
    if not images:
        raise ScanError("The scan ended without a single map: no slice was complete enough to reconstruct.")
    return images, ReconstructionReport(
        source="",
        pipeline=selection.name,
        parameters={},
        acquisitions=source.n_acquisitions,
        images=len(images),
        total_s=last_map - begin,
        latency_s=max(0.0, last_map - arrived),
        peak_memory_mb=peak_memory_mb(),
    )


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB on Linux
