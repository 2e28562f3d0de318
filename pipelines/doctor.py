"""A check of the install, end to end: a small simulated scan must come out as the truth says."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from gadgets.scan import ScanError
from pipelines.demo import Deviation, compare, read_truth
from pipelines.files import read_scan
from pipelines.outputs import Report, map_volumes, write_outputs
from pipelines.replay import reconstruct
from simulator.scan_file import truth_path
from simulator.simulate import SimulationSettings, simulate_scan

__all__ = ["examine"]

SCAN = SimulationSettings(matrix=48, coils=4, noise=0.02)
ACCEPTED_RMSE = {"ff": 0.15, "t1h2o": 300.0, "deltaf": 25.0}
"""In muscle, at this coarse matrix, where partial volume dominates."""


def examine(console: Console) -> None:
    """Run all checks, one line each. Raises ScanError at the first that fails."""

    def check(what: str, action: Callable[[], str]) -> None:
        try:
            found = action()
        except Exception as error:
            console.print(f"[red]✗[/red] {what}", highlight=False)
            raise ScanError(f"{what}: {error}") from error
        console.print(f"[green]✓[/green] {what} [dim]{found}[/dim]", highlight=False)

    with TemporaryDirectory(prefix="spokestream-") as folder:
        path = Path(folder) / "scan.h5"
        state: dict[str, Report] = {}

        def simulated() -> str:
            simulate_scan(path, SCAN)
            return f"{SCAN.matrix} × {SCAN.matrix} pixels, {SCAN.coils} coils, {path.stat().st_size / 1e6:.0f} MB"

        def reconstructed() -> str:
            source = read_scan(path)
            images, report = reconstruct(source, "mrf_t1ff", {})
            state["report"] = write_outputs(Path(folder) / "maps", images, source.xml, report)
            state_rows.extend(compare(map_volumes(images), read_truth(truth_path(path))))
            return f"{report.acquisitions} readouts in {report.total_s:.1f} s, {report.peak_memory_mb:.0f} MB"

        state_rows: list[Deviation] = []
        check("the libraries are there", _libraries)
        check("a scan can be simulated", simulated)
        check("it is reconstructed", reconstructed)
        check("the maps agree with the truth", lambda: _agreement(state_rows))
        check("maps, figure and report were written", lambda: ", ".join(state["report"].files))


def _libraries() -> str:
    import finufft  # noqa: F401
    import torch  # noqa: F401

    return ", ".join(f"{name} {version(name)}" for name in ("numpy", "finufft", "torch", "ismrmrd", "h5py"))


def _agreement(rows: list[Deviation]) -> str:
    found = []
    for row in rows:
        limit = ACCEPTED_RMSE.get(row.name)
        if row.tissue == "muscle" and limit is not None:
            if not row.rmse < limit:
                raise ScanError(f"{row.name} in muscle is off by {row.rmse:.3g} (RMSE), more than {limit:g}.")
            found.append(f"{row.name} ± {row.rmse:.2g}{'' if row.unit == '1' else ' ' + row.unit}")
    return ", ".join(found)
