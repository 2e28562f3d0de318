"""T1 and T2 of a brain from 15 % of k-space: python benchmarks/restoration.py [--quick] [--plot FILE].

The setting of Song et al. (IEEE ICASSP 2019:1040): one coil, 200 frames, few points of a Cartesian grid, no noise.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import print_machine
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from spokestream.pipelines.studies.sampled_brain import (
    Brain,
    Restore,
    SampledBrain,
    brain,
    decibels,
    methods,
    sample,
    sampling_mask,
)
from spokestream.simulator.physics.sequences.loading import load_sequence

WEIGHTS = (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""Weights of the nuclear norm that are compared, relative to the largest singular value of the adjoint's images."""
PUBLISHED = {
    "Ma 2013": "13.50 / 8.61, 106.0 s",
    "FLOR": "30.51 / 21.89, 121.7 s",
    "nuclear norm": "30.76 / 19.78, 1.67 s",
}
"""Method -> SNR of T1 and T2, and time, in figure 5 of Song 2019; there, a network follows the nuclear norm."""


def match(truth: Brain, scan: SampledBrain, coefficients: Tensor, threads: int) -> dict[str, float]:
    """The SNR of the maps of the best atoms, in dB."""
    inside = torch.from_numpy(truth.inside)
    found = scan.atoms.dictionary.values(scan.atoms.match(coefficients[:, inside].T, threads))
    return {name: decibels(true, found[name]) for name, true in truth.maps.items()}


def compare(
    truth: Brain, scan: SampledBrain, restores: dict[str, Restore], threads: int, progress: Progress
) -> tuple[Table, dict[str, list[float]]]:
    """The table of all methods, and the costs of their iterations."""
    table = Table(title="SNR of the maps in dB; time of restoration + matching")
    for column in ("method", "T1 / T2", "s", "paper"):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    costs: dict[str, list[float]] = {}
    exact = match(truth, scan, scan.coefficients.project(truth.images), threads)
    table.add_row("all samples", f"{exact['t1']:.2f} / {exact['t2']:.2f}", "", "")
    for name, restore in restores.items():
        task = progress.add_task(name, total=None)
        costs[name] = []
        note = partial(note_cost, costs[name], lambda text, task=task: progress.update(task, description=text), name)
        begin = perf_counter()
        coefficients = restore(note)
        middle = perf_counter()
        snr = match(truth, scan, coefficients, threads)
        times = f"{middle - begin:.1f} + {perf_counter() - middle:.2f}"
        progress.remove_task(task)
        table.add_row(name, f"{snr['t1']:.2f} / {snr['t2']:.2f}", times, PUBLISHED.get(name))
    return table, costs


def note_cost(costs: list[float], show: Callable[[str], object], name: str, iteration: int, cost: float) -> None:
    """Keep the cost of an iteration, and show it."""
    costs.append(cost)
    show(f"{name}, iteration {iteration}, cost {cost:.4g}")


def plot(costs: dict[str, list[float]], half_energy: float, path: Path) -> None:
    """The cost after every iteration, relative to that of images of zero. The cost of BLIP has no nuclear norm."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, values in costs.items():
        if values:
            axes.loglog(np.arange(1, len(values) + 1), np.array(values) / half_energy, label=name)
    axes.set(xlabel="iteration", ylabel="cost relative to half the energy of the samples")
    axes.grid(which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small brain and few iterations, to test that it runs")
    parser.add_argument("--matrix", type=int, default=128)
    parser.add_argument("--sequence", default="fisp-song-200")
    parser.add_argument("--pattern", choices=("gaussian", "uniform", "spiral"), default="gaussian")
    parser.add_argument("--fraction", type=float, default=0.15, help="of the points that are sampled in every frame")
    parser.add_argument(
        "--weight", type=float, default=1e-3, help="of the nuclear norm, relative to the largest singular value"
    )
    parser.add_argument("--iterations", type=int, default=100, help="of the nuclear norm and of FLOR")
    parser.add_argument("--projections", type=int, default=20, help="iterations of BLIP; a third at every scale")
    parser.add_argument("--sweep", action="store_true", help="compare weights of the nuclear norm")
    parser.add_argument("--plot", type=Path, help="PNG file of the convergence")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; on a busy machine, more are slower")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.matrix, arguments.iterations, arguments.projections = 48, 10, 3
    torch.set_num_threads(arguments.threads)
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    sequence = load_sequence(arguments.sequence)
    truth = brain(sequence, arguments.matrix)
    mask = sampling_mask(arguments.pattern, len(sequence), arguments.matrix, arguments.fraction)
    with tempfile.TemporaryDirectory() as folder:
        scan = sample(truth, sequence, mask, Path(folder) / "dictionary.h5", thin=10 if arguments.quick else 1)
    largest = float(torch.linalg.matrix_norm(scan.coefficients.adjoint(scan.samples).flatten(1), 2))
    console.print(
        f"{arguments.matrix} x {arguments.matrix}, {truth.inside.sum():,} voxels, {len(sequence)} frames, "
        f"{1 / scan.frames.undersampling:.3f} of the points ({arguments.pattern}), "
        f"{len(scan.atoms.dictionary.coefficients):,} atoms in {len(scan.basis.noise)} vectors, weight "
        f"{arguments.weight:g} of {largest:.1f}",
        highlight=False,
    )
    counts = (arguments.iterations, arguments.projections, arguments.threads)
    with Progress(console=console, transient=True) as progress:
        restores = methods(scan, arguments.weight * largest, *counts)
        table, costs = compare(truth, scan, restores, arguments.threads, progress)
    console.print(table)
    if arguments.plot:
        plot(costs, 0.5 * float(torch.linalg.vector_norm(scan.samples)) ** 2, arguments.plot)
    if arguments.sweep:
        names = ("FLOR", "nuclear norm")
        sweep = Table("weight", *names, title="SNR in dB, T1 / T2")
        for weight in WEIGHTS:
            restores = methods(scan, weight * largest, *counts)
            found = [match(truth, scan, restores[name](lambda n, cost: None), arguments.threads) for name in names]
            sweep.add_row(f"{weight:g}", *(f"{snr['t1']:.2f} / {snr['t2']:.2f}" for snr in found))
        console.print(sweep)


if __name__ == "__main__":
    main()
