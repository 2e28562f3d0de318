"""Offline reconstruction: a recorded scan runs through the same chain as at the scanner, as fast as possible."""

import logging
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import ismrmrd

from spokestream.errors import ScanError
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import ReconstructionReport, write_outputs
from spokestream.pipelines.files.recorded_scan import RecordedScan, is_recording
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import Selection, select, start_scan
from spokestream.pipelines.settings import DEFAULT_PIPELINE

__all__ = ["ScanSource", "peak_memory_mb", "reconstruct", "replay"]

Progress = Callable[[int, int], None]
"""A function that is called with the number of acquisitions done and the number of all of them."""


class ScanSource(Protocol):
    """A source from which a scan can be replayed: a file or a recorded session."""

    @property
    def xml(self) -> str:
        """The ISMRMRD header."""

    @property
    def n_acquisitions(self) -> int:
        """The number of acquisitions that the iteration gives."""

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        """The acquisitions in the order in which they came."""


def replay(
    path: str | Path,
    out_dir: str | Path,
    pipeline: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ReconstructionReport:
    """Reconstruct an ISMRMRD file, or the recording of a session, and write maps, figure and report into a directory.

    Args:
        path: the file.
        out_dir: where to write; made if it does not exist.
        pipeline: the name of the pipeline, or XML. By default it is `mrf_t1ff`; a recording is reconstructed with
            the pipeline and the settings that its client asked for.
        parameters: settings of the pipeline.
        progress: called after every acquisition.

    Raises InputError for an unknown pipeline or setting, ScanError when the scan cannot be read or reconstructed,
    OSError when the results cannot be written.

    """
    source: ScanSource
    if is_recording(Path(path)):
        source = recorded = RecordedScan(Path(path))
        asked = select(recorded.config).with_parameters(recorded.parameters) if pipeline is None else select(pipeline)
    else:
        source, asked = read_scan(path), select(pipeline or DEFAULT_PIPELINE)
    chosen = asked.with_parameters(parameters or {}, trusted=True)
    images, report = reconstruct(source, chosen, progress)
    values = {name: getattr(chosen.settings, name, given) for name, given in (parameters or {}).items()}
    report.parameters = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
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
