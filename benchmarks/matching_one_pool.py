"""Matching of T1 and T2 compared with SVD matching: python benchmarks/matching_one_pool.py [--quick].

The first table is the time from a sequence, or from a dictionary file, to atoms that can be searched.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from measure import alternately, print_machine, ratio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.workers import workers
from spokestream.pipelines.chains import ATOMS_PER_BASIS
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.one_pool import ATOM, OnePoolDictionary
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, t1t2_grid
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

NOISE = (0.12, 0.4)
"""Norm of the noise of a voxel relative to that of its signal. 0.12 is the median of a simulated brain of 96 pixels
with 4 coils (correlation 0.993); 0.4 is a poor scan."""
JUNK = 0.02
"""Fraction of the voxels that hold noise only."""
FLUID = 0.1
"""Fraction of the voxels that are fluid, the rest is tissue."""
BLOCK = 16
"""Number of voxels that other methods compare at once on every thread, at which both are fastest (16 to 256 tried)."""
TIE = 1e-6
"""Relative difference of correlations within which two atoms are equally good in single precision."""

Search = Callable[[torch.Tensor], NDArray[np.intp]]
"""Coefficients (voxels, K), divided by their noise, to the numbers of their atoms."""


@dataclass
class Voxels:
    """Coefficients of random voxels."""

    y: torch.Tensor
    """(voxels, K)"""
    junk: NDArray[np.bool_]


def random_voxels(sequence: PulseSequence, basis: TemporalBasis, n: int, noise: float, seed: int) -> Voxels:
    """Tissue, T1 of 300 to 2,000 ms and T2 of 20 to 200 ms between those of the grid, fluid, and junk; any phase."""
    rng = np.random.default_rng(seed)
    fluid, junk = rng.random(n) < FLUID, rng.random(n) < JUNK
    t1 = np.where(fluid, rng.uniform(3000, 4500, n), np.exp(rng.uniform(np.log(300), np.log(2000), n)))
    t2 = np.where(fluid, rng.uniform(500, 2000, n), np.exp(rng.uniform(np.log(20), np.log(200), n)))
    values = [torch.tensor(value, dtype=torch.float32) for value in (t1, t2)]
    signal = RELAXATION.closed_form(sequence, basis).at(*values)[0].numpy() * np.exp(2j * np.pi * rng.random((n, 1)))
    added = rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape)
    added *= noise * np.linalg.norm(signal, axis=1, keepdims=True) / np.linalg.norm(added, axis=1, keepdims=True)
    y = (np.where(junk[:, None], 0, signal) + added) * basis.noise
    return Voxels(torch.from_numpy(y.astype(np.complex64)), junk)


def numpy_search(unit: NDArray[np.float32], threads: int) -> Search:
    """SVD matching as it is mostly written: the product with all conjugated atoms, its absolute value, its maximum."""
    conjugate = np.ascontiguousarray(unit.astype(np.complex64).conj().T)

    def search(y: torch.Tensor) -> NDArray[np.intp]:
        with threadpool_limits(1), workers(threads) as pool:  # threads of BLAS in every worker double the time
            parts = np.array_split(y.numpy(), -(-len(y) // BLOCK))
            return np.concatenate(list(pool.map(lambda part: np.abs(part @ conjugate).argmax(1), parts)))

    return search


def torch_search(unit: NDArray[np.float32], threads: int) -> Search:
    """The fastest comparison with all atoms that we know: real atoms, squares instead of absolute values."""
    columns = torch.from_numpy(np.ascontiguousarray(unit.T))

    def best(part: torch.Tensor) -> torch.Tensor:
        real, imag = part.real @ columns, part.imag @ columns
        return real.square_().addcmul_(imag, imag).argmax(1)

    def search(y: torch.Tensor) -> NDArray[np.intp]:
        with workers(threads) as pool:
            return torch.cat(list(pool.map(best, torch.split(y, BLOCK)))).numpy()

    return search


def different(found: NDArray[np.intp], other: NDArray[np.intp], y: torch.Tensor, unit: NDArray[np.float64]) -> str:
    """The number of voxels with another atom, of them ties of single precision, and voxels in which ours is worse."""
    place = (found != other).nonzero()[0]
    white = y.numpy()[place].astype(complex)
    ours, theirs = (np.abs((white * unit[index[place]]).sum(1)) for index in (found, other))
    ties = np.abs(ours - theirs) < TIE * theirs
    return f"{len(place)}, ties {ties.sum()}, ours worse {((ours < theirs) & ~ties).sum()}"


def time_table(
    dictionary: OnePoolDictionary, basis: TemporalBasis, n: int, few: int, rounds: int, threads: int
) -> Table:
    """The seconds per slice of n voxels, and whether all searches find the same atoms; slow ones run on a few."""
    atoms = OnePoolAtoms(dictionary, basis)
    projected = dictionary.in_basis(basis) / basis.noise
    unit = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    single = unit.astype(np.float32)
    peers = {
        "numpy, SVD matching": numpy_search(single, threads),
        "torch, all real atoms": torch_search(single, threads),
    }
    voxels = {noise: random_voxels(dictionary.sequence, basis, n, noise, seed=1) for noise in NOISE}
    table = Table(
        title=f"{n:,} voxels, {len(unit):,} atoms, {len(dictionary.sequence):,} spokes in {unit.shape[1]} images",
        caption="Song et al. 2019 print 464 s for matching 80,000 signatures of 200 points, on another machine.",
    )
    for column in ("noise", "method", "voxels", "s", "ratio", "other atom than ours"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for noise, slice_ in voxels.items():
        white = slice_.y / torch.from_numpy(basis.noise)
        runs: dict[str, Callable[[], object]] = {"ours, exact": lambda y=slice_.y: atoms.match(y, threads)}
        runs |= {name: lambda search=search, y=white[:few]: search(y) for name, search in peers.items()}
        seconds = alternately(runs, rounds, threads)
        found = atoms.match(slice_.y[:few], threads).index[ATOM]
        for name, times in seconds.items():
            count = few if name in peers else n
            scaled = [s * n / count for s in times]
            same = different(found, peers[name](white[:few]), white[:few], unit) if name in peers else ""
            times_ours = f"{ratio(scaled, seconds['ours, exact']):.1f}"
            table.add_row(f"{noise}", name, f"{count:,}", f"{np.median(scaled):.2f}", times_ours, same)
    return table


def start_table(sequence: PulseSequence, grid: str, quick: bool) -> Table:
    """The seconds until basis and atoms can be used: computed for the scan, and from a file of the grid."""
    table = Table(title=f"Start of a scan of {len(sequence):,} spokes")
    for column in ("source", "atoms", "s", "target"):
        table.add_column(column, justify="left" if column == "source" else "right")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dictionary.h5"
        chosen = t1t2_grid("quick", np.array([500.0, 900.0]), np.array([40.0, 90.0])) if quick else GRIDS[grid]()
        build_t1t2_dictionary(path, sequence, chosen)
        sources: dict[str, tuple[Callable[[], OnePoolDictionary], str]] = {
            "phase graphs": (lambda: RELAXATION.dictionary(sequence), "10"),
            f"a file of the grid '{chosen.name}'": (lambda: RELAXATION.load_dictionary(path), "1"),
        }
        for name, (make, target) in sources.items():
            begin = perf_counter()
            dictionary = make()
            OnePoolAtoms(dictionary, compressed_basis(sequence, dictionary.signals(slice(None, None, ATOMS_PER_BASIS))))
            table.add_row(name, f"{len(dictionary.coefficients):,}", f"{perf_counter() - begin:.2f}", target)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few voxels and one round, to test that it runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often every method runs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    sequence = load_sequence("fisp-song-200" if arguments.quick else "fisp-song-1000")
    console.print(start_table(sequence, "song", arguments.quick))
    grid = GRIDS["song"]()
    if arguments.quick:
        grid = t1t2_grid("quick", grid.t1_ms[::97], grid.t2_ms[::97], equal=True)
    with tempfile.TemporaryDirectory() as folder:
        build_t1t2_dictionary(Path(folder) / "dictionary.h5", sequence, grid)
        dictionary = RELAXATION.load_dictionary(Path(folder) / "dictionary.h5")
    basis = compressed_basis(sequence, dictionary.signals(slice(None, None, ATOMS_PER_BASIS)))
    n, few, rounds = (1000, 200, 1) if arguments.quick else (65_536, 8192, arguments.rounds)
    console.print(time_table(dictionary, basis, n, few, rounds, arguments.threads))


if __name__ == "__main__":
    main()
