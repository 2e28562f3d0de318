"""`spokestream doctor`: check the install end to end, or say what is found in a scan.

The install is checked on a small simulated scan, which must come out as its truth.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spokestream.errors import InputError, ScanError, SpokestreamError
from spokestream.pipelines.cli.machine import machine_facts
from spokestream.pipelines.cli.options import add_set_option, named_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

__all__ = ["HELP", "examine", "options", "run"]

HELP = "check this install on a simulated scan, or say what is found in a scan and which options it takes"
MATRIX, COILS, NOISE = 48, 4, 0.02
ACCEPTED = 0.1
"""The largest error (RMSE) of a map over the width of its display window; coarse pixels cause half of it."""


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: a scan to examine, and how it is to be reconstructed."""
    parser.add_argument(
        "--scan", type=Path, metavar="FILE", help="say what is found in this scan instead of checking the install"
    )
    parser.add_argument("--pipeline", metavar="NAME", help="which reconstruction to examine the scan for")
    add_set_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Check the install, or examine a scan. Raises ScanError if a check fails, or if the scan is refused."""
    from rich.console import Console

    if arguments.scan is not None:
        _scan(arguments, Console())
    elif arguments.pipeline or arguments.parameters:
        raise InputError("--pipeline and --set belong to --scan FILE.")
    else:
        examine(Console())


def _scan(arguments: argparse.Namespace, console: "Console") -> None:
    """Print what is found in a scan. Raises ScanError if it cannot be reconstructed."""
    from rich.table import Table
    from rich.text import Text

    from spokestream.pipelines.examination.examination import examine_scan

    result = examine_scan(arguments.scan, arguments.pipeline, named_values(arguments.parameters))
    table = Table(show_header=False, title=str(arguments.scan), title_style="bold")
    for style in ("", "bold", ""):
        table.add_column(style=style)
    for finding in result.findings:
        mark = "[yellow]![/yellow]" if finding.doubtful else "[green]✓[/green]"
        table.add_row(mark, finding.what, Text(finding.found))
    console.print(table)
    for warning in dict.fromkeys(result.warnings):
        console.print("[yellow]![/yellow]", Text(warning), highlight=False)
    if result.refusal:
        raise ScanError(result.refusal)
    console.print("[green]✓[/green] The first slice was reconstructed; the whole scan with:", highlight=False)
    console.print(f"  {result.command}", highlight=False, markup=False, soft_wrap=True)


def examine(console: "Console") -> None:
    """Describe the machine, run all checks and print one line for each. Raises ScanError at the first that fails."""
    for name, text in machine_facts().items():
        console.print(f"  {name}: {text}", highlight=False, markup=False, soft_wrap=True)
    with TemporaryDirectory(prefix="spokestream-") as folder:
        scan, maps = Path(folder) / "scan.h5", Path(folder) / "maps"
        for what, check in (
            ("the libraries are there", _libraries),
            ("a scan can be simulated", lambda: _simulation(scan)),
            ("it is reconstructed", lambda: _reconstruction(scan, maps)),
            ("its maps agree with the truth", lambda: _agreement(scan, maps)),
        ):
            try:
                found = check()
            except Exception as error:
                console.print(f"[red]✗[/red] {what}", highlight=False)
                if isinstance(error, SpokestreamError | OSError | ImportError):
                    raise ScanError(f"{what[0].upper()}{what[1:]}? No: {error}") from error
                raise
            console.print(f"[green]✓[/green] {what} [dim]{found}[/dim]", highlight=False, soft_wrap=True)


def _libraries() -> str:
    from importlib.metadata import version

    import finufft  # noqa: F401
    import torch  # noqa: F401

    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "finufft", "torch", "ismrmrd", "h5py"))


def _simulation(scan: Path) -> str:
    from spokestream.simulator.simulate import SimulationSettings, simulate_scan

    simulate_scan(scan, SimulationSettings(matrix=MATRIX, coils=COILS, noise=NOISE))
    return f"{MATRIX} × {MATRIX} pixels, {COILS} coils, {scan.stat().st_size / 1e6:.0f} MB"


def _reconstruction(scan: Path, maps: Path) -> str:
    from spokestream.pipelines.files.replay import replay

    report = replay(scan, maps)
    return f"{report.acquisitions} readouts in {report.total_s:.1f} s, {report.peak_memory_mb:.0f} MB"


def _agreement(scan: Path, maps: Path) -> str:
    from spokestream.pipelines.files.truth import map_errors, read_truth
    from spokestream.simulator.physics.quantities import QUANTITIES
    from spokestream.simulator.scan_files.scan_file import truth_path

    volumes = {path.name.removesuffix(".nii.gz"): _read_nifti(path) for path in maps.glob("*.nii.gz")}
    rows = map_errors(volumes, read_truth(truth_path(scan)))
    found, first = [], rows[0].tissue
    for row in rows:
        quantity = QUANTITIES[row.name]
        if not row.voxels or quantity.high is None:
            continue
        limit = ACCEPTED * (quantity.high - quantity.low)
        if not row.rmse < limit:
            raise ScanError(f"{quantity.title} in {row.tissue} has an error of {row.rmse:.3g} (RMSE), over {limit:g}.")
        if row.tissue == first:
            found.append(f"{row.name} ± {row.rmse:.2g}{'' if row.unit == '1' else ' ' + row.unit}")
    return ", ".join(found)


def _read_nifti(path: Path) -> "NDArray[np.float32]":
    """The volume as (slices, y, x)."""
    import nibabel
    import numpy as np

    volume: Any = nibabel.load(path)
    return np.asarray(volume.dataobj, np.float32).T
