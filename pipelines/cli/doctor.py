"""A check of the install, end to end: a small simulated scan must come out as the truth says."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from spokestream.errors import ScanError
from spokestream.pipelines.files.replay import replay
from spokestream.pipelines.files.truth import map_errors, read_truth
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

__all__ = ["examine"]

SCAN = SimulationSettings(matrix=48, coils=4, noise=0.02)
ACCEPTED_RMSE = {"ff": 0.15, "t1h2o": 300.0, "deltaf": 25.0}
"""In muscle, at this coarse matrix, where partial volume dominates."""


def examine(console: Console) -> None:
    """Run all checks, one line each. Raises ScanError at the first that fails."""
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
                raise ScanError(f"{what[0].upper()}{what[1:]}? No: {error}") from error
            console.print(f"[green]✓[/green] {what} [dim]{found}[/dim]", highlight=False, soft_wrap=True)


def _libraries() -> str:
    import finufft  # noqa: F401
    import torch  # noqa: F401

    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "finufft", "torch", "ismrmrd", "h5py"))


def _simulation(scan: Path) -> str:
    simulate_scan(scan, SCAN)
    return f"{SCAN.matrix} × {SCAN.matrix} pixels, {SCAN.coils} coils, {scan.stat().st_size / 1e6:.0f} MB"


def _reconstruction(scan: Path, maps: Path) -> str:
    report = replay(scan, maps)
    return f"{report.acquisitions} readouts in {report.total_s:.1f} s, {report.peak_memory_mb:.0f} MB"


def _agreement(scan: Path, maps: Path) -> str:
    volumes = {path.name.removesuffix(".nii.gz"): _read_nifti(path) for path in maps.glob("*.nii.gz")}
    found = []
    for row in map_errors(volumes, read_truth(truth_path(scan))):
        limit = ACCEPTED_RMSE.get(row.name)
        if row.tissue == "muscle" and limit is not None:
            if not row.rmse < limit:
                raise ScanError(f"{row.name} in muscle is off by {row.rmse:.3g} (RMSE), more than {limit:g}.")
            found.append(f"{row.name} ± {row.rmse:.2g}{'' if row.unit == '1' else ' ' + row.unit}")
    return ", ".join(found)


def _read_nifti(path: Path) -> NDArray[np.float32]:
    volume: Any = nibabel.load(path)
    return np.asarray(volume.dataobj, np.float32).T  # (slices, y, x)
