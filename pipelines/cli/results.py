"""What a command that reconstructs says at the end: a summary, and the errors where the truth is known."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from spokestream.errors import FileError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from spokestream.pipelines.files.outputs import ReconstructionReport

__all__ = ["show_results", "summary"]


def show_results(report: "ReconstructionReport", folder: Path, scan: Path, console: "Console") -> None:
    """Print what was written, and compare the maps of a simulated scan with the truth that lies beside it.

    Args:
        report: the report of the reconstruction.
        folder: the folder of the results.
        scan: the file of the scan.
        console: where to say why the truth does not fit; results are printed on standard output.

    """
    from rich.console import Console

    from spokestream.pipelines.files.map_file import read_map_file
    from spokestream.pipelines.files.outputs import map_volumes
    from spokestream.pipelines.files.tissue_errors import error_tables
    from spokestream.pipelines.files.truth import read_truth
    from spokestream.simulator.scan_files.scan_file import truth_path

    Console().print(
        f"{summary(report)}\nWrote {', '.join(_names(report.files))} and report.json to {folder}.", highlight=False
    )
    truth = truth_path(scan)
    if not truth.is_file():
        return
    try:
        tables = error_tables(map_volumes(read_map_file(folder / "maps.h5")[0]), read_truth(truth))
    except (FileError, InputError) as error:
        console.print(f"The maps are not compared with {truth.name}: {error}", highlight=False)
        return
    for table in tables:
        Console().print(table)


def summary(report: "ReconstructionReport") -> str:
    """How many images came out, how long it took, and what was wrong."""
    from spokestream.pipelines.files.image_notes import counts_of_scan

    wrong = [f"{n} {kind.replace('_', ' ')}" for kind, n in counts_of_scan(report.integrity).items() if n]
    wrong = [text for text in wrong if not text.endswith(" foreground")]
    lines = [
        f"{report.images} map images from {report.acquisitions} acquisitions in {report.total_s:.1f} s, "
        f"the last {report.latency_s * 1e3:.0f} ms after the last readout; peak memory {report.peak_memory_mb:.0f} MB.",
    ]
    if wrong:
        lines.append(f"Counted over all slices: {', '.join(wrong)}.")
    return "\n".join(lines)


def _names(files: list[str]) -> list[str]:
    """The names of files, and how many there are in each folder."""
    in_folders = Counter(file.partition("/")[0] for file in files if "/" in file)
    return [file for file in files if "/" not in file] + [f"{n} files in {name}/" for name, n in in_folders.items()]
