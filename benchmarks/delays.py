"""Gradient delays of 50 subjects, estimated and corrected: python benchmarks/delays.py [--quick] [--maps N].

Subjects, anatomies, sizes, coils, noise and delays are drawn at random with a fixed seed. The first table is of the
estimates: their errors, those of the same subjects without delays, and the time. The second table compares the maps of
N subjects with those of the same scan without delays: uncorrected, and corrected.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from spokestream import reconstruct
from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.delay_correction import DEVIATION_FACTOR, LEAST_DELAY, LEAST_DEVIATION, MOST_MISFIT
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.gadgets.spoke_quality import SpokeQuality
from spokestream.gadgets.spokes.gradient_delays import SPOKES, DelayEstimate, estimate_delays
from spokestream.gadgets.spokes.outliers import runs
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import judged_voxels, read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.settings import T1FFSettings
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

MAPS = {"ff": "FF", "t1h2o": "water T1, ms", "t1fat": "fat T1, ms", "deltaf": "off-resonance, Hz", "b1": "B1"}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three small subjects, to test that it runs")
    parser.add_argument("--subjects", type=int, default=50, help="subjects whose delays are estimated [50]")
    parser.add_argument("--maps", type=int, default=4, metavar="N", help="subjects whose maps are compared [4]")
    parser.add_argument("--pipeline", default="mrf_t1ff", help="the reconstruction of the maps [mrf_t1ff]")
    arguments = parser.parse_args()
    console = Console(width=120)
    subjects, maps = (3, 1) if arguments.quick else (arguments.subjects, arguments.maps)
    with tempfile.TemporaryDirectory() as folder:
        console.print(estimates(Path(folder) / "scan.h5", subjects, arguments.quick))
        for seed in range(maps):
            console.print(map_table(Path(folder), subject(seed, arguments.quick), arguments.pipeline))


def subject(seed: int, quick: bool) -> SimulationSettings:
    """A subject with delays of up to half a sample."""
    rng = np.random.default_rng((20261126, seed))
    return SimulationSettings(
        anatomy=str(rng.choice(("thigh", "calf", "shoulder", "pelvis", "abdomen"))),
        population=str(rng.choice(("patients", "volunteers"))),
        seed=7000 + seed,
        matrix=48 if quick else int(rng.integers(64, 193)),
        coils=4 if quick else int(rng.choice((4, 8, 12, 20, 34))),
        noise=float(rng.uniform(0.05, 0.2)),
        inversion_efficiency=float(rng.uniform(0.9, 1)),
        delays=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5))),
    )


def estimates(path: Path, subjects: int, quick: bool) -> Table:
    """The distribution of the errors of the estimates, in samples."""
    rows: dict[str, list[tuple[DelayEstimate, np.ndarray, float]]] = {"delays to 0.5": [], "no delays": []}
    for seed in track(range(subjects), "Subjects"):
        late = subject(seed, quick)
        for name, settings in zip(rows, (late, replace(late, delays=(0.0, 0.0))), strict=True):
            simulate_scan(path, settings)
            frames, sequence_runs = first_frames(path)
            start = time.perf_counter()
            estimate = estimate_delays(frames, sequence_runs)
            seconds = time.perf_counter() - start
            assert estimate is not None
            rows[name].append((estimate, estimate.samples - [*settings.delays, 0.0], seconds))
    table = Table(title=f"Errors of the delays of {subjects} subjects, in samples")
    for column in ("", "x, y, coupling: rms", "worst component: median", "90 %", "largest", "errors / sd", "misfit",
                   "above the threshold", "ms"):  # fmt: skip
        table.add_column(column)
    for name, found in rows.items():
        errors = np.array([error for _, error, _ in found])
        worst = np.abs(errors).max(1)
        deviation = np.hypot(DEVIATION_FACTOR * np.array([e.deviation for e, _, _ in found]), LEAST_DEVIATION)
        acted = sum(e.misfit < MOST_MISFIT and np.abs(e.samples).max() > LEAST_DELAY for e, _, _ in found)
        table.add_row(
            name,
            ", ".join(f"{v:.4f}" for v in np.sqrt(np.mean(errors**2, axis=0))),
            f"{np.median(worst):.4f}",
            f"{np.percentile(worst, 90):.4f}",
            f"{worst.max():.4f}",
            f"{np.abs(errors / deviation).max():.1f}",
            f"{max(e.misfit for e, _, _ in found):.3f}",
            f"{acted} of {subjects}",
            f"{1e3 * np.median([s for _, _, s in found]):.0f}",
        )
    return table


def first_frames(path: Path) -> tuple[list[SpokeBlock], np.ndarray]:
    """The frames from which the pipeline estimates the delays, and the runs of the train."""
    recorded = read_scan(path)
    header = ScanHeader.from_xml(recorded.xml)
    scan = ScanContext(header, sequence_from_header(header).sequence)
    gadgets = [
        NoiseWhitening(scan),
        Readout(scan, demodulation_hz=T1FFSettings().demodulation_hz),
        SpokeQuality(scan),
        CoilCompression(scan),
        SpokeAccumulation(scan),
    ]
    frames: list[SpokeBlock] = []
    for message in run_chain(Chain(gadgets), recorded):
        if isinstance(message, SpokeBlock) and sum(len(frame.indices) for frame in frames) < SPOKES:
            frames.append(message)
    return frames, runs(scan.sequence)


def map_table(folder: Path, settings: SimulationSettings, pipeline: str) -> Table:
    """The mean and the root mean square of the changes that delays cause, with and without correction."""
    still, late = folder / "still.h5", folder / "late.h5"
    simulate_scan(still, replace(settings, delays=(0.0, 0.0)))
    simulate_scan(late, settings)
    truth = read_truth(truth_path(still))
    maps = {
        "without delays": reconstruct(still, pipeline).values,
        "delayed": reconstruct(late, pipeline, delays="off").values,
        "corrected": reconstruct(late, pipeline).values,
    }
    judged = [judged_voxels(values, truth) for values in maps.values()]
    delays = ", ".join(f"{d:.2f}" for d in settings.delays)
    table = Table(title=f"{settings.anatomy}, {settings.matrix} pixels, {settings.coils} coils, delays {delays}")
    for column in ("map", *(f"{name}: bias, rmse" for name in maps), "corrected - without: mean"):
        table.add_column(column)
    for name, words in MAPS.items():
        voxels = np.all([masks[name] for masks in judged], axis=0)
        errors = [(values[name] - truth.maps[name])[voxels] for values in maps.values()]
        changed = (maps["corrected"][name] - maps["without delays"][name])[voxels]
        cells = [f"{np.mean(e):+.4g}, {np.sqrt(np.mean(e**2)):.4g}" for e in errors]
        table.add_row(words, *cells, f"{np.mean(changed):+.4g}")
    return table


if __name__ == "__main__":
    main()
