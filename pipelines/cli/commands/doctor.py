"""`spokestream doctor`: check the install end to end; a small simulated scan must come out as its truth."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from spokestream.errors import ScanError, SpokestreamError
from spokestream.pipelines.cli.machine import machine_facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

__all__ = ["HELP", "examine", "options", "run"]

HELP = "check this install end to end on a small simulated scan"
MATRIX, COILS, NOISE = 48, 4, 0.02
ACCEPTED = 0.1
"""The largest error (RMSE) of a map over the width of its display window; coarse pixels cause half of it."""


def options(parser: argparse.ArgumentParser) -> None:
    """The command takes no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Run all checks. Raises ScanError at the first that fails."""
    from rich.console import Console

    examine(Console())


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
