"""False alarms and misses of the warnings about a slice: python benchmarks/quality_gate.py [--quick].

Clean scans are simulated with anatomy, population, matrix, coils, noise, gradient delays, slice profile and inversion
efficiency drawn at random. Scans whose true B1 or off-resonance lies outside the dictionary in more than 5 % of the
tissue are not counted as clean. Every fault is applied to some other scans, of which each is also reconstructed without
a fault, so that map errors are given as multiples of its own.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import ismrmrd
import numpy as np
from measure import print_machine
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from spokestream.errors import ScanError
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.outputs import map_volumes
from spokestream.pipelines.files.replay import reconstruct
from spokestream.pipelines.selection import select
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

MAPS = ("ff", "t1h2o", "deltaf", "b1")
OVERSAMPLING = 2.0


@dataclass
class Scan:
    """A scan in memory: header, noise readouts and spokes."""

    xml: str
    acquisitions: list[ismrmrd.Acquisition]

    @property
    def n_acquisitions(self) -> int:
        """Number of readouts."""
        return len(self.acquisitions)

    def __iter__(self) -> Iterator[ismrmrd.Acquisition]:
        return iter(self.acquisitions)


Fault = Callable[[Scan], Scan]


def random_settings(seed: int) -> SimulationSettings:
    rng = np.random.default_rng((seed, 11))
    delays = tuple(rng.uniform(-0.3, 0.3, 2).tolist()) if rng.random() < 0.5 else (0.0, 0.0)
    return SimulationSettings(
        anatomy=str(rng.choice(["thigh", "calf", "shoulder", "pelvis", "abdomen", "brain"])),
        seed=seed,
        population=str(rng.choice(["patients", "volunteers"])),
        matrix=int(rng.choice([48, 64, 80, 96, 128])),
        coils=int(rng.choice([1, 2, 4, 6])),
        noise=float(rng.choice([0.0, rng.uniform(0.02, 0.2), 0.2])),
        delays=delays,
        inversion_efficiency=float(rng.uniform(0.9, 1)),
        slice_profile=str(rng.choice(["rectangular", "rectangular", "hann-sinc"])),
        trajectory="none",
    )


def is_noise(readout: ismrmrd.Acquisition) -> bool:
    return bool(readout.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT))


def copied(readout: ismrmrd.Acquisition, data: NDArray[np.complex64], k: NDArray[np.float64] | None = None):
    copy = ismrmrd.Acquisition(readout.getHead())
    if k is not None:
        copy.resize(data.shape[1], data.shape[0], 2)
        copy.traj[:] = k
    copy.data[:] = data
    return copy


def each_spoke(change: Callable[[ismrmrd.Acquisition], ismrmrd.Acquisition]) -> Fault:
    return lambda scan: Scan(scan.xml, [a if is_noise(a) else change(a) for a in scan.acquisitions])


def echo_shifted(fraction: float) -> Fault:
    def change(readout):
        copy = copied(readout, readout.data)
        n = readout.number_of_samples
        copy.center_sample = int(np.clip(round(copy.center_sample + fraction * n), 0, n - 1))
        return copy

    return each_spoke(change)


def embedded(change: Callable[[NDArray[np.float64]], NDArray[np.float64]], step: int = 1) -> Fault:
    def place(readout):
        matrix, angle = readout.number_of_samples / OVERSAMPLING, golden_angles(step * readout.idx.kspace_encode_step_1)
        k = radial_spokes(float(angle), readout.number_of_samples, float(readout.center_sample), OVERSAMPLING)
        return copied(readout, readout.data, change(k) / matrix)

    return each_spoke(place)


def reordered(order: Callable[[int], NDArray[np.intp]]) -> Fault:
    def fault(scan):
        noise = [a for a in scan.acquisitions if is_noise(a)]
        spokes = [a for a in scan.acquisitions if not is_noise(a)]
        return Scan(
            scan.xml,
            noise + [copied(a, spokes[i].data) for a, i in zip(spokes, order(len(spokes)), strict=True)],
        )

    return fault


def encoded_space(factor: float) -> Fault:
    def scaled(tag: re.Match[str]) -> str:
        return re.sub(r"<([xy])>([\d.]+)<", lambda m: f"<{m[1]}>{factor * float(m[2]):g}<", tag[0])

    return lambda scan: Scan(
        re.sub(r"<encodedSpace>.*?</encodedSpace>", scaled, scan.xml, flags=re.DOTALL), scan.acquisitions
    )


def header(tag: str, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Fault:
    def fault(scan):
        values = iter(change(np.array([float(v) for v in re.findall(f"<{tag}>([^<]+)<", scan.xml)])))
        xml = re.sub(f"<{tag}>[^<]+<", lambda _: f"<{tag}>{next(values):.6g}<", scan.xml)
        return Scan(xml, scan.acquisitions)

    return fault


def noise_only(scan: Scan) -> Scan:
    rng = np.random.default_rng(1)

    def change(readout):
        shape = readout.data.shape
        return copied(readout, (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64))

    return each_spoke(change)(scan)


def swapped_echoes(te_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = np.unique(te_ms)[:2]
    return np.select([te_ms == first, te_ms == second], [second, first], te_ms)


FAULTS: dict[str, Fault] = {
    "echo off by 1 sample": lambda scan: echo_shifted(-1 / scan.acquisitions[-1].number_of_samples)(scan),
    "echo off by 2 % of the readout": echo_shifted(0.02),
    "echo off by 5 %": echo_shifted(-0.05),
    "echo off by 10 %": echo_shifted(-0.1),
    "echo off by 50 %": echo_shifted(-0.5),
    "oversampling 1 for 2": encoded_space(0.5),
    "oversampling 1.5 for 2": encoded_space(0.75),
    "oversampling 4 for 2": encoded_space(2.0),
    "angles mirrored": embedded(lambda k: k * [1, -1]),
    "kx and ky swapped": embedded(lambda k: k[:, ::-1]),
    "angles doubled": embedded(lambda k: k, step=2),
    "spokes in random order": reordered(lambda n: np.random.default_rng(2).permutation(n)),
    "spokes reversed": reordered(lambda n: np.arange(n)[::-1]),
    "pairs of spokes swapped": reordered(lambda n: np.arange(n) ^ 1),
    "spokes late by one frame": reordered(lambda n: (np.arange(n) + 8) % n),
    "flip angles × 0.5": header("flipAngle_deg", lambda v: v * 0.5),
    "flip angles × 0.8": header("flipAngle_deg", lambda v: v * 0.8),
    "flip angles reversed": header("flipAngle_deg", lambda v: v[::-1]),
    "TI 100 ms longer": header("TI", lambda v: v + 100),
    "two echo times swapped": header("TE", swapped_echoes),
    "TE 0.5 ms longer": header("TE", lambda v: v + 0.5),
    "TR × 1.2": header("TR", lambda v: v * 1.2),
    "1.5 T for 3 T": header("systemFieldStrength_T", lambda v: v * 0 + 1.5),
    "conjugated data": each_spoke(lambda a: copied(a, a.data.conj())),
    "random phase of spokes": lambda scan: each_spoke(
        lambda a: copied(a, a.data * np.complex64(np.exp(1j * a.idx.kspace_encode_step_1**2)))
    )(scan),
    "last half of the train missing": lambda scan: Scan(scan.xml, scan.acquisitions[: len(scan.acquisitions) // 2]),
    "noise only": noise_only,
}


def judged(scan: Scan, truth: dict[str, NDArray[np.float32]]) -> tuple[str, dict[str, float]]:
    """The quality of the maps, or "refused"; and the errors (RMSE) of every map over the tissue."""
    try:
        how = select("mrf_t1ff").with_parameters({"threads": 1, "datatype": "float32"}, trusted=True)
        images, _ = reconstruct(scan, how)
    except ScanError:
        return "refused", {}
    maps = map_volumes(images)
    tissue = truth["pd"] > 0.2 * truth["pd"].max()
    errors = {}
    for name in MAPS:
        where = tissue & (truth["ff"] < 0.5) if name == "t1h2o" else tissue
        errors[name] = float(np.sqrt(np.mean((maps[name] - truth[name])[where] ** 2)))
    return str(images[0].meta["spokestream_quality"]), errors


def simulated(seed: int, folder: Path) -> tuple[Scan, dict[str, NDArray[np.float32]], bool]:
    """A scan, its true maps, and whether they lie within the dictionary."""
    path = folder / "scan.h5"
    simulate_scan(path, random_settings(seed))
    source = read_scan(path)
    with h5py.File(truth_path(path)) as file:
        truth = {name: file[name][()] for name in (*MAPS, "pd")}
    tissue = truth["pd"] > 0.2 * truth["pd"].max()
    inside = (truth["b1"] < 1.025) & (np.abs(truth["deltaf"]) < 125)
    return Scan(source.xml, list(source)), truth, bool(inside[tissue].mean() > 0.95)


def clean_table(seeds: range, folder: Path) -> Table:
    found: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for seed in track(seeds, "Clean scans"):
        scan, truth, inside = simulated(seed, folder)
        (found if inside else outside)[judged(scan, truth)[0]] += 1
    table = Table(title="Scans without a fault")
    for column in ("quality", "within the dictionary", "outside"):
        table.add_column(column, justify="left" if column == "quality" else "right")
    for quality in sorted(found.keys() | outside.keys()):
        table.add_row(quality, str(found[quality]), str(outside[quality]))
    return table


def fault_table(seeds: range, folder: Path) -> Table:
    verdicts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    worse: defaultdict[str, list[list[float]]] = defaultdict(list)
    for seed in track(seeds, "Faults"):
        scan, truth, _ = simulated(seed, folder)
        _, own = judged(scan, truth)
        for name, fault in FAULTS.items():
            quality, errors = judged(fault(scan), truth)
            verdicts[name][quality] += 1
            if errors:
                worse[name].append([errors[m] / own[m] for m in MAPS])
    table = Table(title="Faults", caption="Errors are multiples of those of the same scan without fault, medians.")
    for column in ("fault", "spoken of", *MAPS, "most frequent cause"):
        table.add_column(column, justify="left" if column in ("fault", "most frequent cause") else "right")
    for name, counts in verdicts.items():
        errors = np.median(worse[name], axis=0) if worse[name] else np.full(len(MAPS), np.nan)
        spoken = counts.total() - counts["good"]
        table.add_row(name, f"{spoken} of {counts.total()}", *(f"{e:.1f}" for e in errors), counts.most_common(1)[0][0])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few scans, to test that it runs")
    parser.add_argument("--clean", type=int, default=200, help="number of clean scans")
    parser.add_argument("--faulty", type=int, default=6, help="number of scans to which every fault is applied")
    arguments = parser.parse_args()
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console(width=150)
    print_machine(console, 1, ["numpy", "torch"])
    n_clean, n_faulty = (2, 1) if arguments.quick else (arguments.clean, arguments.faulty)
    with TemporaryDirectory() as folder:
        console.print(fault_table(range(1000, 1000 + n_faulty), Path(folder)))
        console.print(clean_table(range(n_clean), Path(folder)))


if __name__ == "__main__":
    main()
