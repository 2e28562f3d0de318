"""What a CUDA device gains over the CPU of its machine: python benchmarks/gpu.py [--quick].

It runs all tests that need CUDA, compares the maps of every pipeline and the output of networks on CUDA with those on
the CPU, and measures pipelines, networks, phase graphs and a short training. It downloads nothing, and takes less than
ten minutes.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measure import alternately, print_machine, ratio, slice_before, timed_maps
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.models.archives import archive_path
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "ours": ("t1ff-2d-1400", "mrf_t1ff_net"),
    "balsiger2020": ("t1ff-2d-1400", "mrf_t1ff_net"),
    "ours-fisp-576": ("fisp-fang-576", "mrf_t1t2_net"),
}
"""Name of an archive that comes with the software -> its sequence and pipeline."""
PRECISIONS = ("float32", "float16")
PIPELINES: dict[str, tuple[dict[str, str], ...]] = {
    "t1ff-2d-1400": (
        {"pipeline": "mrf_t1ff"},
        {"pipeline": "mrf_t1ff", "images": "iterative"},
        {"pipeline": "mrf_t1ff", "images": "consistent"},
        {"pipeline": "mrf_t1ff_net"},
    ),
    "fisp-fang-576": (
        {"pipeline": "mrf_t1t2", "images": "adjoint"},
        {"pipeline": "mrf_t1t2", "images": "iterative"},
        {"pipeline": "mrf_t1t2_net"},
    ),
}
"""The pipelines that serve a sequence, with their settings."""
SCANS = {"t1ff-2d-1400": ("thigh", 350, 12), "fisp-fang-576": ("brain", 256, 12)}
"""Anatomy, pixels and coils of the scan of a sequence."""
SLICES = 5
TRAINED_ON = 96
"""Pixels of the training set; patches are smaller."""
EPOCH = """
import sys
from pathlib import Path
from time import perf_counter
from spokestream.models.training.loop import train
from spokestream.models.training.training_settings import TrainingSettings
begin = perf_counter()
settings = TrainingSettings(validation=1, epochs=int(sys.argv[3]), per_slice=64, batch=64)
train(Path(sys.argv[1]), Path(sys.argv[2]), settings)
print(perf_counter() - begin)
"""
"""A run of training in a process of its own, because a process chooses its device once."""


def tests() -> str:
    """The last line of what pytest says of the tests that need CUDA."""
    files = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "cuda.is_available()" in path.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda or gpu", *files]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip().splitlines()[-1]


def pipelines(folder: Path, device: str, rounds: int, threads: int, quick: bool) -> Iterator[tuple[str, ...]]:
    """Rows: pipeline, seconds from the last spoke to the last map on the CPU and on the device, ratio, difference.

    The difference is the largest one over the maps, as root mean square over the standard deviation of the map.
    """
    for sequence, several in PIPELINES.items():
        anatomy, matrix, coils = (SCANS[sequence][0], 48, 2) if quick else SCANS[sequence]
        path = scan_file(folder, sequence)
        simulate_scan(path, SimulationSettings(anatomy=anatomy, matrix=matrix, coils=coils, sequence=sequence))
        for settings in several:
            seconds: dict[str, list[float]] = {"cpu": [], "device": []}
            maps = {}
            for number in range(rounds + 1):
                for which, where in (("cpu", "cpu"), ("device", device)):
                    maps[which], taken = timed_maps(path, threads=threads, device=where, **settings)
                    if number:
                        seconds[which].append(taken)
            tissue = maps["cpu"]["pd"] > 0
            differences = [
                np.std(maps["device"][name][tissue] - values[tissue]) / np.std(values[tissue])
                for name, values in maps["cpu"].items()
                if not name.endswith("_std") and np.std(values[tissue]) > 0
            ]
            yield row(f"{', '.join(settings.values())}, {matrix} x {matrix}", seconds, f"{max(differences):.1e}")


def scan_file(folder: Path, sequence: str) -> Path:
    """The file of the scan of a sequence."""
    return folder / f"{sequence}.h5"


def inference(folder: Path, device: str, rounds: int, threads: int) -> Iterator[tuple[str, ...]]:
    """Rows: network and precision, seconds of the CPU and of the device for five slices, ratio, largest difference.

    The slices are those of the scans of `pipelines`.
    """
    for name, (sequence, pipeline) in NETWORKS.items():
        archive = load_archive(archive_path(name))
        seen = slice_before(NetworkInference, scan_file(folder, sequence), pipeline, network=name, device="cpu")
        given = seen.data, seen.foreground, threads
        on_cpu = TiledNetwork(archive, "cpu", "auto")
        exact = TiledNetwork(archive, "cpu", "float32").planes(*given)
        for precision in PRECISIONS if device == "cuda" else ("float32",):
            on_device = TiledNetwork(archive, device, precision)
            runs = {
                which: partial(several, network, *given) for which, network in (("cpu", on_cpu), ("device", on_device))
            }
            seconds = alternately(runs, rounds, threads)
            difference = np.abs(on_device.planes(*given) - exact).max()
            cpu = str(on_cpu.precision).removeprefix("torch.")
            yield row(f"{name}, {precision} (CPU {cpu}), {SLICES} slices", seconds, f"{difference:.1e}")


def several(network: TiledNetwork, *given: Any) -> None:
    for _ in range(SLICES):
        network.planes(*given)


def phase_graphs(device: str, atoms: int, rounds: int, threads: int) -> tuple[str, ...]:
    """The row of atoms of 1,000 points."""
    sequence, rng = load_sequence("fisp-song-1000"), np.random.default_rng(0)
    t1, t2 = rng.uniform(200, 3000, atoms), rng.uniform(20, 190, atoms)
    runs = {
        which: lambda device=where: fingerprint(sequence, t1, t2, dtype=torch.float32, device=device, threads=threads)
        for which, where in (("cpu", "cpu"), ("device", device))
    }
    difference = np.abs(runs["device"]() - runs["cpu"]()).max()
    return row(f"{atoms:,} phase graphs, 1,000 points", alternately(runs, rounds, threads), f"{difference:.1e}")


def epoch(data: Path, device: str, epochs: int) -> tuple[str, ...]:
    """The row of a training of one step of 64 patches an epoch; the start of a process is in both times."""
    subjects = DataSettings(subjects=2, slices=1, matrix=TRAINED_ON, coils=(4, 4), path="full")
    make_training_set(data, subjects, scheduler="synchronous")
    seconds = {}
    for which, visible in (("cpu", ""), ("device", None if device == "cuda" else "")):
        environment = dict(os.environ) | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-c", EPOCH, f"{folder}/run", str(data), str(epochs)]
            said = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if said.returncode:
            raise RuntimeError(f"The training failed.\n{said.stderr}")
        seconds[which] = [float(said.stdout.split()[-1])]
    return row(f"training, {epochs} step{'s' * (epochs > 1)} of 64 patches", seconds, "")


def row(what: str, seconds: dict[str, list[float]], difference: str) -> tuple[str, ...]:
    cpu, device = (f"{np.median(seconds[which]):.3g}" for which in ("cpu", "device"))
    return what, cpu, device, f"{ratio(seconds['cpu'], seconds['device']):.2f}", difference


def rows(device: str, atoms: int, rounds: int, threads: int, quick: bool) -> Iterator[tuple[str, ...]]:
    """All rows of the table."""
    with TemporaryDirectory() as folder:
        yield from pipelines(Path(folder), device, 1 if quick else 2, threads, quick)
        yield from inference(Path(folder), device, rounds, threads)
        yield phase_graphs(device, atoms, rounds, threads)
        yield epoch(Path(folder) / "set", device, 1 if quick else 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small size, and the CPU if there is no CUDA device")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    arguments = parser.parse_args()
    console, device = Console(), "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not arguments.quick:
        console.print("This machine has no CUDA device that torch can use.")
        raise SystemExit(1)
    atoms, rounds = (200, 1) if arguments.quick else (20_000, 5)
    begin = perf_counter()
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    print_machine(console, arguments.threads, ["numpy", "torch", "finufft"])
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU again, to test this script"
    console.print(f"Device: {name}.", highlight=False)
    console.print(f"Tests that need CUDA: {tests()}", highlight=False)
    table = Table(title="Seconds of the CPU and of the device")
    for column in ("", "CPU", "device", "CPU / device", "difference"):
        table.add_column(column, justify="left" if not column else "right")
    try:
        for cells in rows(device, atoms, rounds, arguments.threads, arguments.quick):
            table.add_row(*cells)
    finally:  # what was measured before an error
        console.print(table)
    console.print(
        f"{perf_counter() - begin:.0f} s in all. Seconds of pipelines are from the last spoke to the last map. "
        "Differences: of maps, over their standard deviation; of the planes of networks, whose range is 0 to 1; of "
        "signals."
    )


if __name__ == "__main__":
    main()
