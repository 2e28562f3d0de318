"""What the node says of faulty scans: python benchmarks/robustness.py [--quick] [--pipeline NAME] [--table FILE].

Every fault of `spokestream.simulator.faults` is put, at three strengths, into a simulated scan of a thigh, a calf and a
pelvis. The error of each map is its root mean square error over the tissue where it has a meaning, in multiples of the
error of the same scan without the fault. What the node does counts as

- right: no map has more than twice the error of the scan without the fault, and no more than 5 % of the tissue is lost;
- warned: the maps are worse, and a warning names the cause;
- refused: one sentence instead of maps;
- SILENT: the maps are worse, and no warning names the cause;
- DEFECT: an exception that is not meant for people.
"""

# isort: split
import argparse
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from spokestream import reconstruct
from spokestream.errors import SpokestreamError
from spokestream.pipelines.files.truth import Truth, judged_voxels, read_truth
from spokestream.simulator.faults import FAULTS, Fault, RecordedReadouts
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

ANATOMIES = ("thigh", "calf", "pelvis")
SIZES = {"thigh": 96, "calf": 97, "pelvis": 95}
COILS = 5
LARGEST_ERROR = 2.0
"""The error of a map, in multiples of that of the scan without the fault, above which it must be warned of."""
MOST_LOST = 0.05
"""The fraction of the tissue that may be lost without a warning."""
GOOD, BAD = ("right", "warned", "refused"), ("SILENT", "DEFECT")


@dataclass(frozen=True)
class Errors:
    """Root mean square errors by map, and the fraction of the tissue that has maps."""

    by_map: dict[str, float]
    tissue: float


@dataclass(frozen=True)
class Outcome:
    """What the node did with one faulty scan."""

    verdict: str
    said: str
    """The first warning or refusal, the one that names the cause if there is one."""
    worst: float
    """Largest error of a map in multiples of the scan without the fault; NaN without maps."""
    worst_map: str


class Warnings(logging.Handler):
    """Collects the warnings of a scan."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the sentence."""
        self.sentences.append(record.getMessage())


def main() -> None:
    """Run all faults, print a table by fault, and write it as a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one anatomy, the middle strength, to test that it runs")
    parser.add_argument("--pipeline", default="mrf_t1ff")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--table", type=Path, help="write the table as Markdown into this file")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS.values() if arguments.only in fault.name]
    anatomies = ANATOMIES[:1] if arguments.quick else ANATOMIES
    strengths = slice(1, 2) if arguments.quick else slice(None)
    rows: dict[str, list[Outcome]] = {}
    console = Console()
    logging.getLogger("spokestream").propagate = False
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Faulty scans", total=len(faults) * len(anatomies) * len(range(3)[strengths]))
        for anatomy in anatomies:
            path = Path(folder) / f"{anatomy}.h5"
            simulate_scan(path, SimulationSettings(anatomy=anatomy, matrix=SIZES[anatomy], coils=COILS, seed=7))
            truth = read_truth(path.with_suffix(".truth.h5"))
            warnings = Warnings()
            clean = errors(path, truth, arguments.pipeline, warnings)
            if warnings.sentences:
                console.print(f"{anatomy}: the scan without a fault is warned of: {warnings.sentences}", markup=False)
            for fault in faults:
                for strength in fault.strengths[strengths]:
                    outcome = with_fault(path, fault, strength, truth, clean, arguments.pipeline)
                    rows.setdefault(f"{fault.name}: {strength}", []).append(outcome)
                    if outcome.verdict in BAD:
                        error = f"{outcome.worst_map} x {outcome.worst:.1f}; {outcome.said or 'nothing'}"
                        progress.console.print(
                            f"{outcome.verdict} {anatomy}, {fault.name}: {strength}: {error}",
                            markup=False,
                            highlight=False,
                        )
                    progress.advance(task)
    page = table(rows)
    print(page)
    counts = Counter(outcome.verdict for outcomes in rows.values() for outcome in outcomes)
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in GOOD + BAD))
    if arguments.table:
        arguments.table.write_text(page, "utf-8")


def with_fault(path: Path, fault: Fault, strength: object, truth: Truth, clean: Errors, pipeline: str) -> Outcome:
    """Put a fault into a copy of the scan, reconstruct it, and judge what the node did."""
    scan = RecordedReadouts.read(path)
    fault.put_into(scan, strength)
    faulty = path.with_name("faulty.h5")
    scan.write(faulty)
    warnings = Warnings()
    try:
        found = errors(faulty, truth, pipeline, warnings)
    except SpokestreamError as error:
        return Outcome("refused", str(error), np.nan, "")
    except Exception as error:  # noqa: BLE001  a defect is what this looks for
        return Outcome("DEFECT", f"{type(error).__name__}: {error}", np.nan, "")
    ratios = {name: found.by_map[name] / clean.by_map[name] for name in clean.by_map}
    worst_map = max(ratios, key=lambda name: ratios[name])
    naming = [s for s in warnings.sentences if re.search(fault.cause, s, re.IGNORECASE)]
    said = (naming or warnings.sentences or [""])[0]
    right = ratios[worst_map] <= LARGEST_ERROR and found.tissue >= clean.tissue - MOST_LOST
    verdict = "right" if right else "warned" if naming else "SILENT"
    return Outcome(verdict, said, ratios[worst_map], worst_map)


def errors(path: Path, truth: Truth, pipeline: str, warnings: Warnings) -> Errors:
    """Reconstruct a scan and compare its maps with the truth; warnings are collected."""
    log = logging.getLogger("spokestream")
    log.addHandler(warnings)
    try:
        maps = reconstruct(path, pipeline).values
    finally:
        log.removeHandler(warnings)
    maps = {name: to_grid(volume, truth.tissue.shape) for name, volume in maps.items()}
    judged = judged_voxels(maps, truth)
    shown = np.any([volume != 0 for volume in maps.values()], axis=0)
    by_map = {name: rms(maps[name] - truth.maps[name], mask) for name, mask in judged.items()}
    return Errors(by_map, float(np.mean(shown[truth.tissue])))


def to_grid(volume: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The nearest pixels of maps (slices, y, x) on a finer grid over the same field of view, centred at n // 2."""
    index = [
        np.clip(np.rint((np.arange(n) - n // 2) * (m / n)).astype(int) + m // 2, 0, m - 1)
        for n, m in zip(shape[1:], volume.shape[1:], strict=True)
    ]
    return volume[: shape[0], index[0][:, None], index[1]]


def rms(error: np.ndarray, mask: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error[mask].astype(np.float64) ** 2))) if mask.any() else np.inf


def table(rows: Mapping[str, list[Outcome]]) -> str:
    """A Markdown table: fault and strength, what the node did, the largest error, and what it said."""
    lines = ["| fault | what the node does | largest error | what it says |", "|---|---|---|---|"]
    for name, outcomes in rows.items():
        counts = Counter(outcome.verdict for outcome in outcomes)
        verdicts = ", ".join(v if n == len(outcomes) else f"{n} {v}" for v, n in counts.items())
        worst = max(outcomes, key=lambda o: -1.0 if np.isnan(o.worst) else o.worst)
        error = "–" if np.isnan(worst.worst) else f"{worst.worst:.2f} × ({worst.worst_map})"
        said = next((outcome.said for outcome in outcomes if outcome.said), "–").replace("|", "/").replace("\n", " ")
        lines.append(f"| {name} | {verdicts} | {error} | {said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
