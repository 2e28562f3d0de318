"""Simulation of signals, compared with sycomore and MRzeroCore: python benchmarks/simulation.py [--quick]."""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import finufft
import numpy as np
import torch
from measure import alternately, installed, print_machine, ratio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.models.datasets.making import tissue_box
from spokestream.simulator.acquisition.receive_coils import receive_array
from spokestream.simulator.acquisition.sampling import radial_readout
from spokestream.simulator.acquisition.scanner import acquire
from spokestream.simulator.expansion.point_spread import PointSpread
from spokestream.simulator.expansion.signal_expansion import TissueRange, expand, signal_terms
from spokestream.simulator.phantoms import thigh
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import compressed_basis

PEERS = {"sycomore": "sycomore", "mrzerocore": "MRzeroCore"}
THRESHOLD = 1e-4
"""Magnetisation below which sycomore may drop a state; it is similar to the error of our simulation."""
FAST_TOLERANCE = 5e-4
"""Tolerance of the signal's expansion, as for training sets."""
EQUAL_TR_MS = 13.0
"""Repetition time for MRzeroCore. It separates paths of different durations, and has too many of them if TR varies."""


@dataclass
class Method:
    """A method that simulates `atoms` atoms of a train."""

    sequence: PulseSequence
    atoms: int
    run: Callable[[], NDArray[np.complexfloating]]


def random_tissue(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T1 and T2 of n atoms, uniformly distributed over the range of dictionaries of the brain; T2 is below T1."""
    rng = np.random.default_rng(1)
    t1 = rng.uniform(200, 3000, n)
    return t1, np.minimum(rng.uniform(20, 600, n), t1)


def sycomore_atoms(sequence: PulseSequence, t1, t2, threshold: float):
    """A function that simulates all atoms one by one. What does not depend on the tissue is computed once."""
    import sycomore
    from sycomore.units import deg, ms, mT

    gradient, quarter = mT / sycomore.units.m, 90 * deg
    spokes = [
        (angle * deg, te * ms, (tr - te) * ms)
        for angle, te, tr in zip(sequence.flip_angle_deg, sequence.te_ms, sequence.tr_ms, strict=True)
    ]

    def run():
        echoes = np.empty((len(t1), len(spokes)), complex)
        for i in range(len(t1)):
            model = sycomore.epg.Regular(sycomore.Species(t1[i] * ms, t2[i] * ms))
            model.threshold = threshold
            model.apply_pulse(180 * deg)
            model.relaxation(sequence.ti_ms * ms)
            for j, (angle, te, rest) in enumerate(spokes):
                model.apply_pulse(angle, quarter)
                model.apply_time_interval(te)
                echoes[i, j] = model.echo
                model.apply_time_interval(rest, gradient)
        return echoes

    return run


def mrzero_atoms(sequence: PulseSequence, t1, t2):
    """A function that simulates all atoms as voxels at one position with a coil each, and with one phase graph."""
    import MRzeroCore

    count, size = len(t1), 0.1
    phantom = MRzeroCore.CustomVoxelPhantom(
        pos=[[0.0, 0.0, 0.0]] * count,
        T1=(t1 * 1e-3).tolist(),
        T2=(t2 * 1e-3).tolist(),
        T2dash=1e9,
        D=0.0,
        voxel_size=size,
        voxel_shape="exact_sinc",
    )
    data = phantom.build()
    data.size = torch.full((3,), size)
    data.coil_sens = torch.eye(count, dtype=torch.complex64)
    train = MRzeroCore.PulseSequence()
    inversion = train.new_rep(1)
    inversion.pulse.angle = torch.tensor(torch.pi)
    inversion.pulse.usage = MRzeroCore.PulseUsage.EXCIT
    inversion.event_time[0] = float(sequence.ti_ms * 1e-3)
    for angle, te, tr in zip(sequence.flip_angle_deg, sequence.te_ms, sequence.tr_ms, strict=True):
        spoke = train.new_rep(2)
        spoke.pulse.angle = torch.tensor(float(np.deg2rad(angle)))
        spoke.pulse.phase = torch.tensor(torch.pi / 2)
        spoke.pulse.usage = MRzeroCore.PulseUsage.EXCIT
        spoke.event_time[:] = torch.tensor([float(te), float(tr - te)]) * 1e-3
        spoke.gradm[1, 0] = 10 / size
        spoke.adc_usage[0] = 1

    def run():
        with silence():
            graph = MRzeroCore.compute_graph(train, data)
            echoes = MRzeroCore.execute_graph(graph, train, data, print_progress=False)
        return echoes.T.numpy()

    return run


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """A context in which nothing is printed on the terminal, not even by compiled code."""
    terminal, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(terminal, 1)
        os.close(terminal)
        os.close(nowhere)


def ours(sequence: PulseSequence, t1, t2, **settings) -> Method:
    settings = {"dtype": torch.float32} | settings
    return Method(sequence, len(t1), lambda: fingerprint(sequence, t1, t2, **settings))


def fisp_methods(peers: set[str], atoms: int, few: int, some: int, threads: int) -> dict[str, Method]:
    """The methods by name, with their trains and numbers of atoms."""
    sequence = load_sequence("fisp-song-1000")
    t1, t2 = random_tissue(atoms)
    methods = {
        f"ours, {threads} threads": ours(sequence, t1, t2, threads=threads),
        "ours, 1 thread": ours(sequence, t1, t2, threads=1),
    }
    if torch.cuda.is_available():
        wide = (np.tile(x, 16) for x in (t1, t2))
        methods[f"ours, {torch.cuda.get_device_name()}"] = ours(sequence, *wide, device="cuda")
    if "sycomore" in peers:
        for name, threshold in (("all states", 0.0), (f"states over {THRESHOLD:g}", THRESHOLD)):
            run = sycomore_atoms(sequence, t1[:few], t2[:few], threshold)
            methods[f"sycomore, {name}"] = Method(sequence, few, run)
    if "mrzerocore" in peers:
        equal = replace(sequence, tr_ms=np.full(len(sequence), EQUAL_TR_MS))
        methods["MRzeroCore, its defaults, equal TR"] = Method(equal, some, mrzero_atoms(equal, t1[:some], t2[:some]))
    return methods


def fisp_table(methods: dict[str, Method], checked: int, rounds: int, threads: int) -> Table:
    """Atoms per second, and the largest error against a simulation with all states in double precision."""
    seconds = alternately({name: method.run for name, method in methods.items()}, rounds, threads)
    each = {name: [s / methods[name].atoms for s in times] for name, times in seconds.items()}
    first = next(iter(each.values()))
    table = Table(title=f"FISP, 1,000 points, T1 200 to 3,000 ms, T2 20 to 600 ms, {rounds} rounds")
    for column in ("method", "atoms", "atoms/s", "error", "ratio"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, method in methods.items():
        t1, t2 = (x[: min(checked, method.atoms)] for x in random_tissue(methods[next(iter(methods))].atoms))
        exact = fingerprint(method.sequence, t1, t2, orders=len(method.sequence))
        error = np.abs(method.run()[: len(t1)] - exact).max()
        rate = 1 / np.median(each[name])
        table.add_row(name, f"{method.atoms:,}", f"{rate:,.0f}", f"{error:.1e}", f"{ratio(each[name], first):.1f}")
    return table


def dictionary_table(rounds: int, threads: int) -> Table:
    """The seconds for the 1,710 water and 120 fat atoms of MRF T1-FF."""
    sequence = load_sequence("t1ff-2d-1400")
    water = build_dictionary(sequence).grid
    graphs = partial(
        fingerprint,
        replace(sequence, spoiling="gradient"),
        water.t1h2o_ms,
        40.0,
        b1=water.b1[:, None],
        dtype=torch.float32,
    )
    runs = {
        "closed form, water and fat": lambda: build_dictionary(sequence),
        "extended phase graphs, gradient-spoiled, water": graphs,
    }
    seconds = alternately(runs, rounds, threads)
    table = Table(title=f"The dictionary of MRF T1-FF, 1,400 spokes, two repetitions, {rounds} rounds")
    for column in ("method", "s"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, times in seconds.items():
        table.add_row(name, f"{np.median(times):.3f}")
    return table


def slice_table(matrix: int, coils: int, rounds: int, threads: int) -> Table:
    """One slice of a thigh: simulated k-space, and gridded coefficient images in a box around the tissue without it."""
    sequence, phantom = load_sequence("t1ff-2d-1400"), thigh(matrix)
    array, tissue = receive_array(coils, matrix, phantom.fov_mm), phantom.pd > 0
    readout = radial_readout(len(sequence), 2 * matrix, matrix, 2.0, 2.0)
    basis = compressed_basis(sequence, build_dictionary(sequence).atoms)
    weights = np.repeat(basis.weights, basis.spokes_per_frame, axis=0) / basis.spokes_per_frame
    terms = signal_terms(
        sequence, partial(fingerprint, sequence), readout.time_ms, TissueRange.of(phantom), FAST_TOLERANCE
    )
    box = tissue_box([phantom])
    size = tuple(side.stop - side.start for side in box)
    point_spread = PointSpread(readout, terms, weights, phantom.pd.shape, size)
    inside, array_inside = tissue[box], np.ascontiguousarray(array[:, *box])
    runs = {
        "k-space, full path": lambda: acquire(phantom, array, sequence, readout, threads=threads),
        "gridded images, fast path": lambda: point_spread.images(expand(phantom, terms), inside, array_inside).numpy(),
    }
    images = runs["gridded images, fast path"]()
    exact = gridded(runs["k-space, full path"](), readout, weights, matrix)[..., *box]
    error = np.linalg.norm((images - exact).ravel()) / np.linalg.norm(exact.ravel())
    seconds = alternately(runs, rounds, threads)
    table = Table(title=f"One slice, {matrix} x {matrix}, {coils} coils, 1,400 spokes, {rounds} rounds")
    for column in ("method", "s", "ratio", "error"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for (name, times), shown in zip(seconds.items(), ("", f"{error:.1e}"), strict=True):
        against_full = ratio(times, seconds["k-space, full path"])
        table.add_row(name, f"{np.median(times):.2f}", f"{against_full:.2f}", shown)
    return table


def gridded(kspace, readout, weights, matrix):
    """The coefficient images (K, coils, y, x) of k-space, gridded by finufft."""
    x, y = np.ascontiguousarray(2 * np.pi / matrix * readout.k.reshape(-1, 2).T, np.float32)
    images = [
        finufft.nufft2d1(
            y, x, (kspace * np.outer(w, readout.density).astype(np.float32)).reshape(len(kspace), -1),
            (matrix, matrix), isign=1, eps=1e-6,
        )
        for w in weights.T
    ]  # fmt: skip
    return np.stack(images) / matrix**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few atoms and one round, to test that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often every method runs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    console = Console()
    peers = installed(PEERS, console)
    print_machine(console, arguments.threads, ["numpy", "torch", *sorted(peers)])
    atoms, few, some, checked, rounds = (256, 2, 16, 2, 1) if arguments.quick else (8192, 32, 512, 32, arguments.rounds)
    console.print(dictionary_table(rounds, arguments.threads))
    methods = fisp_methods(peers, atoms, few, some, arguments.threads)
    console.print(fisp_table(methods, checked, rounds, arguments.threads))
    matrix, coils = (64, 3) if arguments.quick else (350, 12)
    console.print(slice_table(matrix, coils, min(rounds, 3), arguments.threads))


if __name__ == "__main__":
    main()
