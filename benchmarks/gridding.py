"""Gridding of one slice, compared with NUFFT libraries: python benchmarks/gridding.py [--quick]."""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple

import finufft
import numpy as np
import torch
from measure import alternately, installed, print_machine, ratio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.imaging.radial_grid import RadialGrid, ramp_density
from spokestream.gadgets.messages import Geometry, SliceEnd, SpokeBlock
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.workers import workers
from spokestream.pipelines.chains import ATOMS_PER_BASIS
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis, frame_basis
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.physics.trajectory import golden_angles, radial_spokes

TOLERANCE = 1e-3
FFTW_MEASURE = 0
COILS = 8
PEERS = {"mri-nufft": "mrinufft", "sigpy": "sigpy", "torchkbnufft": "torchkbnufft"}
OURS = "ours, RadialGrid"
FEW = 5
"""Number of frames on which slow methods are timed."""
CHECKED = 3
"""Number of frames that are compared with finufft in double precision, the same frames for every method."""

Adjoint = Callable[[NDArray[np.complex64], NDArray[np.float32]], NDArray[np.complex64]]
"""A function of weighted samples (coils, points) and k (points, 2), in cycles per field of view, that gives images
(coils, y, x)."""


class Method(NamedTuple):
    """A gridding method, and the number of frames of the slice on which it is timed."""

    adjoints: list[Adjoint]
    """One adjoint that uses all threads, or one for each thread; these take frames alternately."""
    frames: int
    scale: float
    """Factor that makes images comparable with those of other methods; it is not part of the timed computation."""

    def run(self, data: "Slice") -> None:
        """Grid the frames, which are evenly distributed over the slice."""
        chosen = spread_over(len(data.k), self.frames)

        def grid(thread: int) -> None:
            for f in chosen[thread :: len(self.adjoints)]:
                self.adjoints[thread](data.weighted[f], data.points[f])

        if len(self.adjoints) == 1:
            grid(0)
        else:
            with workers(len(self.adjoints)) as pool:
                list(pool.map(grid, range(len(self.adjoints))))


class Slice:
    """Noise on golden-angle spokes, because the time does not depend on the data."""

    def __init__(self, n: int, preset: str = "t1ff-2d-1400") -> None:
        self.n = n
        self.sequence = load_sequence(preset)
        frames, spokes = self.sequence.n_frames, self.sequence.spokes_per_frame
        angles = golden_angles(np.arange(frames * spokes)).reshape(frames, spokes)
        self.k = radial_spokes(angles, 2 * n, n, 2).astype(np.float32)
        rng = np.random.default_rng(0)
        self.data = rng.standard_normal((frames, COILS, spokes, 2 * n, 2), np.float32).view(np.complex64)[..., 0]
        self.weighted = [(d * ramp_density(k)).reshape(COILS, -1) for d, k in zip(self.data, self.k, strict=True)]
        self.points = self.k.reshape(frames, -1, 2)


def ours(n: int) -> Adjoint:
    grid = RadialGrid((n, n), COILS, TOLERANCE)
    space = grid.empty()

    def adjoint(data, k):
        grid.spread(data, k, out=space)
        return grid.images(torch.from_numpy(space)).numpy()

    return adjoint


def plain_finufft(n: int, threads: int, dtype: str = "complex64", tolerance: float = TOLERANCE) -> Adjoint:
    upsampling = 1.25 if dtype == "complex64" else 2
    plan = finufft.Plan(
        1, (n, n), COILS, tolerance, 1, dtype=dtype, nthreads=threads, upsampfac=upsampling, fftw=FFTW_MEASURE
    )
    real = np.float32 if dtype == "complex64" else np.float64
    images = np.empty((COILS, n, n), dtype)

    def adjoint(data, k):
        ky, kx = np.ascontiguousarray((2 * np.pi / n * k[:, ::-1].astype(np.float64)).T, real)
        plan.setpts(ky, kx)
        return plan.execute(data.astype(dtype, copy=False), out=images)

    return adjoint


def mri_nufft(n: int, threads: int) -> Adjoint:
    from mrinufft import get_operator

    def radians(k):
        return np.ascontiguousarray(2 * np.pi / n * k[:, ::-1], np.float32)

    start = radians(radial_spokes(golden_angles(np.arange(8)), 2 * n, n, 2).reshape(-1, 2))
    operator = get_operator("finufft")(
        start, (n, n), n_coils=COILS, n_trans=COILS, eps=TOLERANCE, upsampfac=1.25, fftw=FFTW_MEASURE, nthreads=threads
    )

    def adjoint(data, k):
        operator.update_samples(radians(k))
        return operator.adj_op(data)

    return adjoint


def sigpy(n: int, oversampling: float) -> Adjoint:
    from sigpy import nufft_adjoint

    def adjoint(data, k):
        return nufft_adjoint(data, k[:, ::-1], (COILS, n, n), oversamp=oversampling, width=4)

    return adjoint


def torchkbnufft(n: int) -> Adjoint:
    from torchkbnufft import KbNufftAdjoint

    operator = KbNufftAdjoint((n, n), (2 * n, 2 * n), numpoints=6)

    def adjoint(data, k):
        omega = torch.from_numpy(np.ascontiguousarray((2 * np.pi / n * k[:, ::-1]).T, np.float32))
        return operator(torch.from_numpy(data)[None], omega)[0].numpy()

    return adjoint


def node(data: Slice, basis: TemporalBasis, threads: int, waits: list[float]) -> Callable[[], None]:
    """The gadget, including density, sensitivities, coil combination and foreground.

    The seconds from the end of the slice to its fingerprints are appended to `waits`.
    """
    n, geometry = data.n, Geometry((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (350, 350, 8))
    header = ScanHeader("", (2 * n, n, 1), (700.0, 350.0, 8.0), (n, n, 1), (350.0, 350.0, 8.0))
    gadget = Gridding(ScanContext(header, data.sequence, threads), basis, TOLERANCE)
    indices = np.arange(len(data.sequence)).reshape(data.sequence.n_frames, -1)

    def run():
        for f, (samples, k) in enumerate(zip(data.data, data.k, strict=True)):
            list(gadget.feed(SpokeBlock(samples, k, indices[f], frame=f, slice=0)))
        last_spoke = perf_counter()
        list(gadget.feed(SliceEnd(0, geometry)))
        waits.append(perf_counter() - last_spoke)

    return run


def adjoints(n: int, frames: int, threads: int, present: set[str]) -> dict[str, Method]:
    """The methods by name; slow methods are timed on few frames."""
    methods = {
        OURS: Method([ours(n) for _ in range(threads)], frames, 1.0),
        "finufft, threads inside": Method([plain_finufft(n, threads)], frames, 1 / n**2),
        "finufft, threads by frame": Method([plain_finufft(n, 1) for _ in range(threads)], frames, 1 / n**2),
    }
    if "mri-nufft" in present:
        methods["mri-nufft\\[finufft]"] = Method([mri_nufft(n, threads)], FEW, 2 / n)
    if "sigpy" in present:
        methods["sigpy, 1.25 x"] = Method([sigpy(n, 1.25)], FEW, 1 / n)
        methods["sigpy, 2 x"] = Method([sigpy(n, 2)], FEW, 1 / n)
    if "torchkbnufft" in present:
        methods["torchkbnufft, 2 x"] = Method([torchkbnufft(n)], FEW, 1 / n**2)
    return methods


def spread_over(frames: int, count: int) -> NDArray[np.intp]:
    return np.linspace(0, frames - 1, count).astype(int)


def relative_errors(data: Slice, methods: dict[str, Method], threads: int) -> dict[str, float]:
    """Relative errors against finufft in double precision, on a few frames."""
    checked = [(data.weighted[f], data.points[f]) for f in spread_over(len(data.k), CHECKED)]
    exact = plain_finufft(data.n, threads, "complex128", 1e-9)
    truth = np.stack([exact(*frame) / data.n**2 for frame in checked])
    errors = {}
    for name, method in methods.items():
        images = np.stack([method.adjoints[0](*frame) * method.scale for frame in checked])
        errors[name] = float(np.linalg.norm(images - truth) / np.linalg.norm(truth))
    return errors


def benchmark(n: int, rounds: int, threads: int, present: set[str]) -> Table:
    data = Slice(n)
    frames = len(data.k)
    methods = adjoints(n, frames, threads, present)
    atoms = build_dictionary(data.sequence).atoms
    bases = [compressed_basis(data.sequence, atoms), frame_basis(data.sequence)]
    waits: dict[str, list[float]] = {f"our node, {basis.weights.shape[1]} images": [] for basis in bases}
    runs = {name: partial(method.run, data) for name, method in methods.items()}
    runs |= {name: node(data, basis, threads, waits[name]) for name, basis in zip(waits, bases, strict=True)}
    seconds = alternately(runs, rounds, threads)
    for name, method in methods.items():
        seconds[name] = [s * frames / method.frames for s in seconds[name]]

    errors = relative_errors(data, methods, threads)
    table = Table(title=f"{frames} frames x 8 spokes x {2 * n} samples x {COILS} coils to {n} x {n}, {rounds} rounds")
    for column in ("method", "frames", "s", "at the end", "error", "ratio"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name in runs:
        table.add_row(
            name,
            str(methods[name].frames if name in methods else frames),
            f"{np.median(seconds[name]):.3f}",
            f"{np.median(waits[name][1:]):.3f}" if name in waits else "",  # the first is the warm-up
            f"{errors[name]:.1e}" if name in errors else "",
            f"{ratio(seconds[name], seconds[OURS]):.2f}",
        )
    return table


def one_spoke_a_frame(n: int, rounds: int, threads: int) -> Table:
    """The node alone, for a train whose frames are single spokes."""
    data = Slice(n, "fisp-fang-2304")
    basis = compressed_basis(data.sequence, RELAXATION.dictionary(data.sequence).atoms[::ATOMS_PER_BASIS])
    waits: list[float] = []
    seconds = alternately({"node": node(data, basis, threads, waits)}, rounds, threads)["node"]
    table = Table(title=f"{len(data.k)} frames x 1 spoke x {2 * n} samples x {COILS} coils to {n} x {n}")
    for column in ("images", "s", "at the end"):
        table.add_column(column, justify="right")
    table.add_row(str(basis.weights.shape[1]), f"{np.median(seconds):.3f}", f"{np.median(waits[1:]):.3f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small matrix and one round, to test that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often every method runs")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    console = Console()
    present = installed(PEERS, console)
    print_machine(console, arguments.threads, ["numpy", "torch", "finufft", *sorted(present)])
    n, rounds = (70, 1) if arguments.quick else (350, arguments.rounds)
    console.print(benchmark(n, rounds, arguments.threads, present))
    console.print(one_spoke_a_frame(48 if arguments.quick else 256, rounds, arguments.threads))


if __name__ == "__main__":
    main()
