"""Matching of one slice, compared with exhaustive search and SVD matching: python benchmarks/matching.py [--quick]."""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from measure import alternately, print_machine, ratio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.matching.mixture import mixture_energy, mixture_fraction
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms, match_two_pools
from spokestream.gadgets.workers import workers
from spokestream.pipelines.files.replay import peak_memory_mb
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary, build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import voxel_signal
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, frame_basis, frame_means

NOISE = (0.1, 0.35)
"""Standard deviation of the real and the imaginary part, relative to the mean signal of a frame."""
BLOCK = 16
"""Number of voxels that other methods compute at once on every thread; more voxels do not fit the caches."""
RANK = 10
"""Number of singular vectors of the single-pool dictionary."""


@dataclass
class Voxels:
    """Random tissue with values between those of the grid, and its noisy frames (voxels, frames)."""

    truth: dict[str, NDArray[np.float64]]
    frames: NDArray[np.complex64]


def random_voxels(sequence: PulseSequence, n: int, noise: float, rng: np.random.Generator) -> Voxels:
    truth = {
        "ff": rng.uniform(0, 1, n) ** 1.5,
        "t1h2o_ms": rng.uniform(700, 1900, n),
        "t1fat_ms": rng.uniform(240, 390, n),
        "deltaf_hz": rng.uniform(-115, 115, n),
        "b1": rng.uniform(0.35, 1.0, n),
    }
    frames = np.empty((n, sequence.n_frames), np.complex64)
    for part in np.array_split(np.arange(n), -(-n // 500)):  # the trains of all voxels would fill the memory
        signal = voxel_signal(sequence, **{name: values[part] for name, values in truth.items()})
        means = frame_means(signal.real, 8) + 1j * frame_means(signal.imag, 8)
        frames[part] = means * np.exp(2j * np.pi * rng.random((len(part), 1)))
    sigma = noise * np.abs(frames).mean()
    for part in (frames.real, frames.imag):
        part += sigma * rng.standard_normal(frames.shape, np.float32)
    return Voxels(truth, frames)


class ExhaustiveSearch:
    """A search that computes all combinations of the grid, one B1 after another, without any bounds."""

    def __init__(self, dictionary: WaterFatDictionary, basis: TemporalBasis, dtype: torch.dtype, threads: int) -> None:
        water, fat = (basis.project(pool) / basis.noise for pool in (dictionary.water, dictionary.fat))
        phase = np.exp(2j * np.pi * dictionary.grid.deltaf_hz[:, None] * basis.te_ms * 1e-3)
        self.threads = threads
        self.complex = dtype.to_complex()
        self.noise = torch.tensor(basis.noise)
        self.water = torch.tensor(water).to(self.complex)
        self.fat = torch.tensor(fat * dictionary.spectrum.phasor(basis.te_ms)).to(self.complex)
        self.phase = torch.tensor(phase).to(self.complex)
        self.ww, self.ff = (x.abs().square().sum(-1) for x in (self.water, self.fat))
        self.wf = torch.einsum("bwk,bfk->bwf", self.water.real, self.fat.real)

    def __call__(self, y: torch.Tensor) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The indices (4, voxels) of b1, deltaf, t1h2o, t1fat, and the fat fractions, of coefficients (voxels, K)."""
        with workers(self.threads) as pool:
            parts = list(
                pool.map(lambda part: self._search((part / self.noise).to(self.complex)), torch.split(y, BLOCK))
            )
        place, fraction = (torch.cat(column, -1).numpy() for column in zip(*parts, strict=True))
        return place, fraction

    def _search(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        demodulated = y[:, None] * self.phase
        energy, index = (
            torch.stack(x) for x in zip(*(self._best(demodulated, b) for b in range(len(self.ww))), strict=True)
        )
        b = energy.argmax(0)
        index = index.gather(0, b[None])[0]
        n_water, n_fat = self.wf.shape[1:]
        d, w, f = index // (n_water * n_fat), index // n_fat % n_water, index % n_fat
        z = demodulated[torch.arange(len(y)), d]
        cw, cf = (z * self.water[b, w]).sum(-1), (z * self.fat[b, f].conj()).sum(-1)
        fraction = mixture_fraction(cw, cf, self.ww[b, w], self.ff[b, f], self.wf[b, w, f])
        return torch.stack([b, d, w, f]), fraction

    def _best(self, demodulated: torch.Tensor, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        cw, cf = demodulated @ self.water[b].T, demodulated @ self.fat[b].conj().T
        energy = mixture_energy(cw[..., None], cf[..., None, :], self.ww[b][:, None], self.ff[b], self.wf[b])
        best = energy.flatten(1).max(1)
        return best.values, best.indices


def svd_matching(dictionary: WaterFatDictionary, n_atoms: int, rng: np.random.Generator, threads: int):
    """Single-pool matching with FF as an axis, in the leading singular vectors: the maximum of |inner product|."""
    basis = frame_basis(dictionary.sequence)
    grid = dictionary.grid
    axes = (grid.b1, grid.t1h2o_ms, grid.t1fat_ms, grid.deltaf_hz, np.linspace(0, 1, 21))
    b, w, f, d, fraction = (rng.integers(len(axis), size=n_atoms) for axis in axes)
    phasor = dictionary.spectrum.phasor(basis.te_ms)
    water, fat = (basis.project(pool).astype(np.complex64) for pool in (dictionary.water, dictionary.fat))
    ff = axes[-1][fraction, None].astype(np.float32)
    atoms = (1 - ff) * water[b, w] + ff * fat[b, f] * phasor.astype(np.complex64)
    atoms *= np.exp(-2j * np.pi * grid.deltaf_hz[:, None] * basis.te_ms * 1e-3).astype(np.complex64)[d]
    vectors = np.linalg.eigh(atoms.T @ atoms.conj())[1][:, -RANK:].astype(np.complex64)
    compressed = atoms @ vectors.conj()
    conjugate = (compressed / np.linalg.norm(compressed, axis=1, keepdims=True)).conj().T.copy()

    def match(frames: NDArray[np.complex64]) -> NDArray[np.intp]:
        def best(block: NDArray[np.complex64]) -> NDArray[np.intp]:
            product = block @ conjugate
            return (product.real**2 + product.imag**2).argmax(1)  # half the time of the absolute value

        with workers(threads) as pool:
            return np.concatenate(
                list(pool.map(best, np.array_split(frames @ vectors.conj(), -(-len(frames) // BLOCK))))
            )

    return match


def coefficients(voxels: Voxels, basis: TemporalBasis) -> torch.Tensor:
    return torch.from_numpy(voxels.frames @ basis.weights)


def time_table(
    dictionary: WaterFatDictionary, basis: TemporalBasis, n: int, few: int, rounds: int, threads: int
) -> Table:
    """The seconds per slice of n voxels; slow methods run on a few of them."""
    rng = np.random.default_rng(1)
    begin = perf_counter()
    atoms = TwoPoolAtoms(dictionary, basis)
    prepared = perf_counter() - begin
    quick = TwoPoolAtoms(dictionary, basis, exact=False)
    slices = {noise: random_voxels(dictionary.sequence, n, noise, rng) for noise in NOISE}
    y = {noise: coefficients(voxels, basis) for noise, voxels in slices.items()}
    before = peak_memory_mb()
    match_two_pools(y[NOISE[1]], atoms, threads)
    after = peak_memory_mb()

    single = ExhaustiveSearch(dictionary, basis, torch.float32, threads)
    n_atoms = 100_000
    svd = svd_matching(dictionary, n_atoms, rng, threads)
    first = slices[NOISE[0]].frames[:few]
    runs = {f"ours, noise {noise}": lambda noise=noise: match_two_pools(y[noise], atoms, threads) for noise in NOISE}
    runs |= {
        f"ours, promising, noise {NOISE[0]}": lambda: match_two_pools(y[NOISE[0]], quick, threads),
        "exhaustive, torch float32": lambda: single(y[NOISE[0]][:few]),
        f"numpy SVD K={RANK}, {n_atoms:,} atoms": lambda: svd(first),
    }
    seconds = alternately(runs, rounds, threads)
    ours = seconds[f"ours, noise {NOISE[0]}"]
    table = Table(
        title=f"{n:,} voxels, {len(dictionary.grid):,} combinations, {rounds} rounds",
        caption=f"Ours: atoms set up in {prepared:.2f} s; peak memory {after:.0f} MB, {before:.0f} MB before matching.",
    )
    for column in ("method", "voxels", "s", "ratio"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, times in seconds.items():
        count = n if name.startswith("ours") else few
        scaled = [s * n / count for s in times]
        table.add_row(name, f"{count:,}", f"{np.median(scaled):.2f}", f"{ratio(scaled, ours):.2f}")
    return table


def agreement_table(dictionary: WaterFatDictionary, basis: TemporalBasis, n: int, threads: int) -> Table:
    """Comparison with the exhaustive search in double precision, and errors of both against the truth."""
    rng = np.random.default_rng(2)
    atoms, double = TwoPoolAtoms(dictionary, basis), ExhaustiveSearch(dictionary, basis, torch.float64, threads)
    table = Table(title=f"RMSE against the truth, {n:,} random voxels a row")
    for column in ("noise", "search", "same", "FF", "T1 water", "T1 fat", "off-res.", "B1"):
        table.add_column(column, justify="left" if column == "search" else "right")
    for noise in NOISE:
        voxels = random_voxels(dictionary.sequence, n, noise, rng)
        y = coefficients(voxels, basis)
        match, (place, fraction) = match_two_pools(y, atoms, threads), double(y)
        found = np.stack([match.index["b1"], match.index["deltaf"], match.index["t1h2o"], match.index["t1fat"]])
        same = found == place
        same[2] |= match.fraction == 1  # an absent pool has no T1 to agree on
        same[3] |= match.fraction == 0
        agreement = f"{same.all(0).mean():.2%}"
        table.add_row(f"{noise}", "ours", agreement, *errors(dictionary, voxels.truth, found, match.fraction))
        table.add_row("", "exhaustive", "", *errors(dictionary, voxels.truth, place, fraction))
    return table


def errors(dictionary, truth, place, fraction) -> list[str]:
    """The RMSE of FF, water T1 where FF < 0.7, fat T1 where FF > 0.3, off-resonance and B1, with units."""
    grid, (b, d, w, f) = dictionary.grid, place
    ff = truth["ff"]

    def rmse(estimate, name, where=slice(None)):
        return float(np.sqrt(np.mean((estimate - truth[name])[where] ** 2)))

    return [
        f"{rmse(fraction, 'ff'):.4f}",
        f"{rmse(grid.t1h2o_ms[w], 't1h2o_ms', ff < 0.7):.1f} ms",
        f"{rmse(grid.t1fat_ms[f], 't1fat_ms', ff > 0.3):.1f} ms",
        f"{rmse(grid.deltaf_hz[d], 'deltaf_hz'):.2f} Hz",
        f"{rmse(grid.b1[b], 'b1'):.4f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few voxels and one round, to test that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often every method runs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    dictionary = build_dictionary(load_sequence("t1ff-2d-1400"))
    basis = compressed_basis(dictionary.sequence, dictionary.atoms)
    n, few, checked, rounds = (1000, 48, 50, 1) if arguments.quick else (35_000, 512, 1000, arguments.rounds)
    console.print(time_table(dictionary, basis, n, few, rounds, arguments.threads))
    console.print(agreement_table(dictionary, basis, checked, arguments.threads))


if __name__ == "__main__":
    main()
