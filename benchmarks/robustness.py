"""What the node says of faulty scans: python benchmarks/robustness.py [--quick] [--clean N] [--page FILE].

Every fault of `spokestream.simulator.faults` is put, at three strengths, into a simulated scan of a thigh, a calf and a
pelvis. The error of each map is its root mean square error over the tissue where it has a meaning, in multiples of the
error of the same scan without the fault. What the node does counts as

- right: no map has more than twice the error of the scan without the fault, and no more than 5 % of the tissue is lost;
- warned: the maps are worse, and a warning names the cause;
- refused: one sentence instead of maps;
- SILENT: the maps are worse, and no warning names the cause;
- DEFECT: an exception that is not meant for people.

With `--clean N`, N scans without faults follow, of all anatomies, sizes, noise levels and numbers of coils, drawn at
random with a fixed seed. None of them may be warned of, and no spoke of them may be left out.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from spokestream import reconstruct
from spokestream.errors import SpokestreamError
from spokestream.pipelines.files.truth import Truth, judged_voxels, read_truth
from spokestream.pipelines.files.validity import shown_foreground
from spokestream.simulator.faults import FAULTS, Fault, RecordedReadouts
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

ANATOMIES = ("thigh", "calf", "pelvis")
SIZES = {"thigh": 96, "calf": 97, "pelvis": 95}
COILS = 5
CLEAN_ANATOMIES = ("thigh", "calf", "shoulder", "pelvis", "abdomen")
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


PREFACE = """# What the node does with faulty scans

`python benchmarks/robustness.py --clean 200 --page docs/robustness.md` wrote this page, with the pipeline `{pipeline}`.
It puts every fault, at three strengths, into simulated scans of a thigh, a calf and a pelvis (95 to 97 pixels, 5
coils). The faults are declared and described in `simulator/faults/`. The largest error is that of the worst map: its
root mean square error over the tissue where it has a meaning, in multiples of the error of the scan without the fault.

- **right**: no map has more than twice the error, and no more than 5 % of the tissue is lost.
- **warned**: the maps are worse, and a warning names the cause. It is in the log, at the client and in the report.
- **refused**: there are no maps but one sentence.
- **SILENT**: the maps are worse, and no warning names the cause.
- **DEFECT**: the node failed with an exception that is not meant for people.

"""


class Warnings(logging.Handler):
    """Collects the warnings of a scan."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the sentence."""
        self.sentences.append(record.getMessage())


def main() -> None:
    """Run faults and clean scans, print what came out, and write it as a page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one anatomy, the middle strength, to test that it runs")
    parser.add_argument("--pipeline", default="mrf_t1ff", help="the reconstruction [mrf_t1ff]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the faults whose names contain this")
    parser.add_argument("--clean", type=int, default=0, metavar="N", help="number of scans without faults [0]")
    parser.add_argument("--page", type=Path, help="write the results as Markdown into this file")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS.values() if arguments.only in fault.name]
    logging.getLogger("spokestream").propagate = False
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        rows = run_faults(Path(folder), faults, arguments.pipeline, arguments.quick, progress)
        alarms = run_clean(Path(folder), arguments.clean, arguments.pipeline, progress)
    page = PREFACE.format(pipeline=arguments.pipeline) + table(rows)
    if arguments.clean:
        page += f"\nOf {arguments.clean} scans without faults, {len(alarms)} were warned of.\n"
        page += "".join(f"\n- {alarm}" for alarm in alarms) + ("\n" if alarms else "")
    print(page)
    if arguments.page:
        arguments.page.write_text(page, "utf-8")


def run_faults(
    folder: Path, faults: list[Fault], pipeline: str, quick: bool, progress: Progress
) -> dict[str, list[Outcome]]:
    """The outcomes (one for each anatomy) of every fault and strength."""
    anatomies = ANATOMIES[:1] if quick else ANATOMIES
    strengths = slice(1, 2) if quick else slice(None)
    rows: dict[str, list[Outcome]] = {}
    task = progress.add_task("Faulty scans", total=len(faults) * len(anatomies) * len(range(3)[strengths]))
    for anatomy in anatomies:
        path = folder / f"{anatomy}.h5"
        simulate_scan(path, SimulationSettings(anatomy=anatomy, matrix=SIZES[anatomy], coils=COILS, seed=7))
        truth = read_truth(path.with_suffix(".truth.h5"))
        clean = errors(path, truth, pipeline, Warnings())
        for fault in faults:
            for strength in fault.strengths[strengths]:
                outcome = with_fault(path, fault, strength, truth, clean, pipeline)
                rows.setdefault(f"{fault.name}: {strength}", []).append(outcome)
                if outcome.verdict in BAD:
                    where = f"{outcome.verdict}, {anatomy}, {fault.name}: {strength}"
                    said = f"{outcome.worst_map} x {outcome.worst:.1f}; {outcome.said or 'nothing'}"
                    progress.console.print(f"{where}: {said}", markup=False, highlight=False)
                progress.advance(task)
    return rows


def run_clean(folder: Path, n: int, pipeline: str, progress: Progress) -> list[str]:
    """The scans without faults that were warned of, or of which spokes were left out, in words."""
    alarms = []
    task = progress.add_task("Scans without faults", total=n, visible=n > 0)
    for seed in range(n):
        settings = clean_scan(seed)
        path = folder / "clean.h5"
        simulate_scan(path, settings)
        warnings = Warnings()
        with collected(warnings):
            maps = reconstruct(path, pipeline)
        left_out = [count for counts in maps.integrity for kind, count in counts.items() if kind == "missing"]
        if warnings.sentences or any(left_out):
            alarms.append(f"{settings.anatomy}, {settings.matrix} pixels, seed {seed}: {' '.join(warnings.sentences)}")
            progress.console.print(alarms[-1], markup=False, highlight=False)
        progress.advance(task)
    return alarms


def clean_scan(seed: int) -> SimulationSettings:
    """A scan as it may come from a scanner in good order."""
    rng = np.random.default_rng(seed)
    return SimulationSettings(
        anatomy=str(rng.choice(CLEAN_ANATOMIES)),
        population=str(rng.choice(("patients", "volunteers"))),
        seed=1000 + seed,
        matrix=int(rng.integers(48, 161)),
        coils=int(rng.choice((4, 8, 12, 20, 34))),
        noise=float(rng.uniform(0, 0.2)),
        trajectory=str(rng.choice(("embedded", "none"))),
        inversion_efficiency=float(rng.uniform(0.9, 1)),
        delays=tuple(rng.uniform(-0.3, 0.3, 2)),
    )


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
    with collected(warnings):
        maps = reconstruct(path, pipeline).values
    maps = {name: to_grid(volume, truth.tissue.shape) for name, volume in maps.items()}
    judged = judged_voxels(maps, truth)
    by_map = {name: rms(maps[name] - truth.maps[name], mask) for name, mask in judged.items()}
    return Errors(by_map, float(np.mean(shown_foreground(maps)[truth.tissue])))


@contextmanager
def collected(warnings: Warnings) -> Iterator[None]:
    """While this is open, the warnings of scans are collected."""
    log = logging.getLogger("spokestream")
    log.addHandler(warnings)
    try:
        yield
    finally:
        log.removeHandler(warnings)


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
    total = Counter(outcome.verdict for outcomes in rows.values() for outcome in outcomes)
    lines = [
        f"Of {total.total()} scans, " + ", ".join(f"{total[verdict]} {verdict}" for verdict in GOOD + BAD) + ".",
        "",
        "| fault | what the node does | largest error | what it says |",
        "|---|---|---|---|",
    ]
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
