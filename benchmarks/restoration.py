"""T1 and T2 of a brain from 15 % of k-space: python benchmarks/restoration.py [--quick] [--plot FILE].

The setting of Song et al. (IEEE ICASSP 2019:1040): one coil, 200 frames, few points of a Cartesian grid, no noise.
"""

# isort: split
import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import print_machine
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.restoration.blip import nearest_fingerprints, restore_fingerprints
from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.flor import low_rank_in_span
from spokestream.gadgets.restoration.measurement import InBasis, OnIteration
from spokestream.gadgets.restoration.multiscale import SCALES, restore_from_coarse_to_fine
from spokestream.gadgets.restoration.nuclear_norm import least_nuclear_norm
from spokestream.simulator.phantoms import draw_subject, render
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.singular_vectors import leading_vectors, normalised_gram
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, t1t2_grid
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.trajectory import golden_angles, spiral_arms

TISSUES = ("spinal fluid", "grey matter", "white matter", "deep grey matter", "lesion")
"""What remains of the head when its outer layers are removed, as in the paper's phantom."""
ENERGY = 1 - 1e-7
"""Fraction of the energy of the dictionary in the basis of its signals: 19 vectors for 200 frames."""
WEIGHTS = (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""Weights of the nuclear norm that are compared, relative to the largest singular value of the adjoint's images."""
GAUSSIAN_WIDTH = 0.2
"""Standard deviation of the density of points along ky and kx, relative to the matrix. The paper does not print it."""
PUBLISHED = {
    "Ma 2013": "13.50 / 8.61, 106.0 s",
    "FLOR": "30.51 / 21.89, 121.7 s",
    "nuclear norm": "30.76 / 19.78, 1.67 s",
}
"""Method -> SNR of T1 and T2, and time, in figure 5 of Song 2019; there, a network follows the nuclear norm."""

Restore = Callable[[OnIteration], Tensor]
"""From what receives the cost, to coefficients in the basis of the dictionary."""


@dataclass
class Brain:
    """The truth in the pixels of the brain."""

    inside: NDArray[np.bool_]
    """(y, x)"""
    maps: dict[str, NDArray[np.float64]]
    """Name of the map -> (voxels,) ms."""
    images: Tensor
    """(frames, y, x) complex64"""


@dataclass
class Scan:
    """What was measured, and the dictionary."""

    frames: CartesianSampling
    coefficients: InBasis
    samples: Tensor
    basis: TemporalBasis
    atoms: OnePoolAtoms


def brain(sequence: PulseSequence, matrix: int) -> Brain:
    """One slice, every pixel with the signal of its own T1 and T2 and its proton density."""
    phantom = render("brain", draw_subject("volunteers", 0), matrix=matrix)
    inside = np.isin(phantom.label, [phantom.label_names.index(name) for name in TISSUES]) & (phantom.t2h2o > 0)
    maps = {"t1": phantom.t1h2o[inside].astype(np.float64), "t2": phantom.t2h2o[inside].astype(np.float64)}
    images = np.zeros((len(sequence), matrix, matrix), np.complex64)
    images[:, inside] = (phantom.pd[inside][:, None] * np.asarray(fingerprint(sequence, *maps.values()))).T
    return Brain(inside, maps, torch.from_numpy(images))


def sampling_mask(pattern: str, frames: int, matrix: int, fraction: float) -> Tensor:
    """(frames, y, x) bool: in every frame other points, or a spiral of the next golden angle on the nearest points."""
    n, rng = round(fraction * matrix**2), np.random.default_rng(1)
    mask = np.zeros((frames, matrix, matrix), bool)
    if pattern == "spiral":
        for frame, arm in zip(mask, spiral_arms(golden_angles(np.arange(frames)), n, matrix, 1.0), strict=True):
            column, row = np.clip(np.rint(arm).astype(int) + matrix // 2, 0, matrix - 1).T
            frame[row, column] = True
        return torch.from_numpy(mask)
    k = (np.arange(matrix) - matrix // 2) / matrix
    density = np.exp(-(k[:, None] ** 2 + k**2).ravel() / (2 * GAUSSIAN_WIDTH**2))
    density = density if pattern == "gaussian" else np.ones_like(density)
    for frame in mask.reshape(frames, -1):
        frame[rng.choice(frame.size, n, replace=False, p=density / density.sum())] = True
    return torch.from_numpy(mask)


def simulate(truth: Brain, sequence: PulseSequence, mask: Tensor, thin: int) -> Scan:
    """Sample the images; the dictionary is that of the paper, of which every axis is thinned by a factor."""
    grid = GRIDS["song"]()
    if thin > 1:
        grid = t1t2_grid("thin", np.unique(grid.t1_ms)[::thin], np.unique(grid.t2_ms)[::thin], equal=True)
    with tempfile.TemporaryDirectory() as folder:
        built = build_t1t2_dictionary(Path(folder) / "dictionary.h5", sequence, grid)
    span = leading_vectors(normalised_gram([built.atoms]), ENERGY)[0].astype(np.float32)
    basis = TemporalBasis(span, np.full(span.shape[1], 2.0), 1, np.ones(span.shape[1], np.float32))
    dictionary = OnePoolDictionary(sequence, {"t1": grid.t1_ms, "t2": grid.t2_ms}, built.atoms)
    frames = CartesianSampling(mask)
    coefficients = InBasis(frames, torch.from_numpy(span))
    return Scan(frames, coefficients, frames.forward(truth.images), basis, OnePoolAtoms(dictionary, basis))


def methods(scan: Scan, weight: float, iterations: int, projections: int, threads: int) -> dict[str, Restore]:
    """The methods of the paper, BLIP, and the same from coarse to fine; plain is without acceleration.

    All return coefficients in the basis.
    """
    span = torch.from_numpy(scan.basis.weights)

    def nuclear(accelerated: bool) -> Restore:
        def restore(on_iteration: OnIteration) -> Tensor:
            images = least_nuclear_norm(scan.frames, scan.samples, weight, iterations, on_iteration, accelerated)
            return scan.coefficients.project(images)

        return restore

    def project(method: Callable[..., Tensor], iterations: int) -> Restore:
        nearest = nearest_fingerprints(scan.atoms, scan.basis, threads)
        return partial(method, scan.coefficients, scan.samples, nearest, scan.frames.undersampling, iterations)

    return {
        "Ma 2013": lambda on_iteration: scan.coefficients.adjoint(scan.samples),
        "BLIP": project(restore_fingerprints, projections),
        "coarse to fine": project(restore_from_coarse_to_fine, -(-projections // len(SCALES))),
        "FLOR": lambda on_iteration: low_rank_in_span(
            scan.frames, scan.samples, span, weight, iterations, on_iteration
        ),
        "nuclear norm": nuclear(accelerated=True),
        "nuclear norm, plain": nuclear(accelerated=False),
    }


def decibels(true: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """The SNR of a map as the paper defines it."""
    return float(20 * np.log10(np.linalg.norm(true) / np.linalg.norm(true - found)))


def match(truth: Brain, scan: Scan, coefficients: Tensor, threads: int) -> dict[str, float]:
    """The SNR of the maps of the best atoms, in dB."""
    inside = torch.from_numpy(truth.inside)
    found = scan.atoms.dictionary.values(scan.atoms.match(coefficients[:, inside].T, threads))
    return {name: decibels(true, found[name]) for name, true in truth.maps.items()}


def compare(
    truth: Brain, scan: Scan, restores: dict[str, Restore], threads: int, progress: Progress
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
    scan = simulate(truth, sequence, mask, thin=10 if arguments.quick else 1)
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
