"""What refinement changes: python benchmarks/refinement.py [--quick] [--matrix N] [--scans N].

Thighs and brains by matching and by the network, each with and without refinement. Errors are over tissue without bone,
where a map has a meaning: water T1 where FF < 0.4, fat T1 where FF > 0.3, T1 and T2 in voxels without fat. The bound is
that of Cramer and Rao for the thermal noise of a single voxel alone.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from measure import print_machine
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from spokestream import reconstruct
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.model_fit.own_fit import equations
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.gadgets.refinement import Refinement
from spokestream.pipelines.api import Maps
from spokestream.pipelines.files.truth import Truth, read_truth
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import frame_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

SEQUENCES = {"thigh": "t1ff-2d-1400", "brain": "fisp-fang-576"}
POPULATIONS = {"thigh": "patients", "brain": "volunteers"}
PIPELINES = {"thigh": ("mrf_t1ff", "mrf_t1ff_net"), "brain": ("mrf_t1t2", "mrf_t1t2_net")}
NAMES = {"thigh": ("ff", "t1h2o", "t1fat", "deltaf", "b1"), "brain": ("t1", "t2")}
TEXTURED = ("ff", "t1", "t2")
"""Maps whose truth varies from pixel to pixel within a tissue."""
NOISE = 0.1
"""Thermal noise of one frame over the mean signal: the default of simulated scans."""
FINE = 1.4
"""Standard deviation, in pixels, of the smoothing that is subtracted to see fine texture."""
BODY = 0.95
"""Efficiency of the inversion of the simulated scans."""
BOUND_EVERY = 10
"""One in this many voxels is used for the Cramer-Rao bound."""


def judged(name: str, truth: Truth) -> NDArray[np.bool_]:
    """The voxels whose errors count."""
    maps = truth.maps
    soft = truth.tissue & ~truth.bone & np.isfinite(maps[name])
    where = {"t1h2o": maps["ff"] < 0.4, "t1fat": maps["ff"] > 0.3} if "ff" in maps else {}
    if name in ("t1", "t2"):
        return soft & (maps["t1"] > 0)
    return soft & where.get(name, True)


def texture(found: NDArray[np.float32], true: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """The part of the fine texture of a true map that a found map has: 1 is all of it, whatever noise is added."""
    inside = ndimage.binary_erosion(mask, iterations=3, axes=(-2, -1))
    if not inside.any():
        return float("nan")

    def fine(values: NDArray[np.float32]) -> NDArray[np.float64]:
        of_mask = np.where(mask, values, 0).astype(np.float64)
        share = ndimage.gaussian_filter(mask.astype(np.float64), FINE, axes=(-2, -1))
        return (of_mask - ndimage.gaussian_filter(of_mask, FINE, axes=(-2, -1)) / share.clip(1e-6))[inside]

    wanted = fine(true)
    return float(np.mean(fine(found) * wanted) / np.mean(wanted**2))


def bound(truth: Truth) -> NDArray[np.float64]:
    """The Cramer-Rao bound of water T1 in lean muscle, in ms, for the thermal noise of its frames."""
    sequence = load_sequence(SEQUENCES["thigh"])
    closed_form = WATER_FAT.closed_form(sequence, frame_basis(sequence))
    lean = judged("t1h2o", truth) & (truth.purity == 1) & (truth.maps["t1fat"] > 0)
    maps = {
        name: torch.from_numpy(truth.maps[name][lean][::BOUND_EVERY].astype(np.float32)) for name in WATER_FAT.names
    }
    columns, scales = list(maps.values()), Unknowns(WATER_FAT, {"b1": (0.1, 1.5), "deltaf": (-300, 300)})
    y = torch.cat([closed_form.at(*block)[0] for block in zip(*(c.split(500) for c in columns), strict=True)])
    variance = (NOISE * y.abs().mean(1)).square()
    fisher = torch.cat([
        equations(part, scales.of(list(block)), scales, closed_form, 1.0).fisher
        for part, *block in zip(y.split(500), *(c.split(500) for c in columns), strict=True)
    ])  # fmt: skip
    inverse = torch.linalg.inv(fisher / variance[:, None, None])
    stds = scales.std(inverse.diagonal(dim1=1, dim2=2).sqrt(), columns)
    return stds[WATER_FAT.names.index("t1h2o")].double().numpy()


@contextmanager
def timed(kind: type[Gadget], seconds: list[float]) -> Iterator[None]:
    """Note the seconds that every slice takes in gadgets of a kind."""
    feed = kind.feed

    def noted(self: Gadget, message: object) -> Iterator[object]:
        begin = perf_counter()
        results = list(feed(self, message))
        seconds.append(perf_counter() - begin)
        yield from results

    kind.feed = noted
    try:
        yield
    finally:
        kind.feed = feed


class Figures:
    """Errors of one way to maps, collected over scans."""

    def __init__(self) -> None:
        self.errors: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        self.ratios: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        self.texture: dict[str, list[float]] = defaultdict(list)
        self.seconds: list[float] = []

    def add(self, maps: Maps, truth: Truth, names: tuple[str, ...]) -> None:
        """Compare the maps of one scan with the truth."""
        for name in names:
            mask = judged(name, truth) & (maps.values[name] != 0)
            error = (maps.values[name] - truth.maps[name])[mask].astype(np.float64)
            self.errors[name].append(error)
            if f"{name}_std" in maps.values:
                std = maps.values[f"{name}_std"][mask]
                self.ratios[name].append(np.abs(error[std > 0]) / std[std > 0])
            pure = mask & (truth.purity == 1)
            self.texture[name].append(texture(maps.values[name], np.nan_to_num(truth.maps[name]), pure))

    def row(self, name: str) -> list[str]:
        """RMSE, its estimate from the median, bias, texture, and fractions within 1 and 2 standard deviations."""
        error = np.concatenate(self.errors[name])
        digits = ".4f" if name in ("ff", "b1") else ".1f"
        within = ["", ""]
        if self.ratios[name]:
            ratio = np.concatenate(self.ratios[name])
            within = [f"{(ratio < limit).mean():.2f}" for limit in (1, 2)]
        rmse, bias = np.sqrt(np.mean(error**2)), error.mean()
        middle = 1.4826 * np.median(np.abs(error - np.median(error)))
        fine = f"{np.mean(self.texture[name]):.2f}" if name in TEXTURED else ""
        return [f"{rmse:{digits}}", f"{middle:{digits}}", f"{bias:+{digits}}", fine, *within]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small scan of each anatomy, to test that it runs")
    parser.add_argument("--matrix", type=int, default=128)
    parser.add_argument("--scans", type=int, default=4, help="of each anatomy")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--anatomy", choices=tuple(SEQUENCES), nargs="*", default=tuple(SEQUENCES))
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the node")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.matrix, arguments.scans = 64, 1
    console = Console(width=110)
    print_machine(console, arguments.threads, ["numpy", "torch"])
    for anatomy in arguments.anatomy:
        figures: dict[tuple[str, str], Figures] = defaultdict(Figures)
        bounds = []
        with tempfile.TemporaryDirectory() as folder:
            for seed in track(range(arguments.scans), anatomy, console=console, transient=True):
                path = Path(folder) / f"{seed}.h5"
                simulate_scan(path, SimulationSettings(
                    anatomy=anatomy, population=POPULATIONS[anatomy], sequence=SEQUENCES[anatomy], coils=6,
                    matrix=arguments.matrix, seed=arguments.first_seed + seed, noise=NOISE, inversion_efficiency=BODY,
                ))  # fmt: skip
                truth = read_truth(path.with_suffix(".truth.h5"))
                if anatomy == "thigh":
                    bounds.append(bound(truth))
                for pipeline in PIPELINES[anatomy]:
                    for refine in ("off", "on"):
                        found = figures[pipeline, refine]
                        with timed(Refinement, found.seconds):
                            maps = reconstruct(path, pipeline, refine=refine, denoise="off", threads=arguments.threads)
                        found.add(maps, truth, NAMES[anatomy])
                path.unlink()
        table = Table("map", "pipeline", "refine", "RMSE", "median", "bias", "texture", "< 1 sd", "< 2 sd",
                      title=f"{arguments.scans} x {anatomy}, {arguments.matrix} pixels")  # fmt: skip
        for name in NAMES[anatomy]:
            for (pipeline, refine), found in figures.items():
                table.add_row(name, pipeline, refine, *found.row(name))
        console.print(table)
        for (pipeline, _), found in figures.items():
            if found.seconds:
                console.print(f"{pipeline}: refinement took {np.median(found.seconds):.2f} s of a slice.")
        if bounds:
            console.print(f"Cramer-Rao bound of water T1: {np.sqrt(np.mean(np.concatenate(bounds) ** 2)):.1f} ms.")


if __name__ == "__main__":
    main()
