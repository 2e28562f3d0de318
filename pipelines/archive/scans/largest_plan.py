"""The memory that the largest scan of an archive needs, by which the number of workers is planned."""

from collections.abc import Iterable
from pathlib import Path

from spokestream.errors import SpokestreamError
from spokestream.pipelines.files.scan_source import open_scan
from spokestream.pipelines.node.memory.plan import plan_scan
from spokestream.pipelines.selection import Selection

__all__ = ["largest_plan"]


def largest_plan(paths: Iterable[Path], selection: Selection) -> int:
    """The memory, in bytes, that the largest of these scans needs.

    Of files of the same size, one is planned: an archive has few protocols, and a plan takes tens of milliseconds. A
    scan that cannot be planned cannot be reconstructed either, and counts as 0.
    """
    largest = 0
    for path in {path.stat().st_size: path for path in paths if path.is_file()}.values():
        try:
            scan = open_scan(path)
            readout = next(iter(scan))
            n_bytes = readout.data.nbytes + readout.traj.nbytes
            largest = max(
                largest, plan_scan(selection, scan.xml, readout.active_channels, n_bytes, queue_bytes=0).total
            )
        except (SpokestreamError, OSError, StopIteration):
            continue
    return largest
