"""Errors over the Cramer-Rao bound of thermal noise: python benchmarks/cramer_rao.py [--quick] [--matrix N].

Simulated thighs by matching, on adjoint and on iterative images, with and without refinement, on consistent ones, and
denoised. The bound of every voxel is that of an unbiased estimate from this voxel alone, of all seven unknowns, from
coefficient images of the adjoint with the noise that receiver noise makes in them. Aliasing is no part of it. Estimates
that use neighbours or have learnt how tissue looks can be below it.

"circle" are refined maps of the true images without noise and aliasing, of which only the circle is left that spokes
measure in k-space. The truth has texture from pixel to pixel, a part of which lies in the corners.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from measure import print_machine
from numpy.typing import NDArray
from refinement import judged
from rich.console import Console
from rich.progress import track
from rich.table import Table

from spokestream import reconstruct
from spokestream.gadgets.model_fit.refine import refined_maps
from spokestream.gadgets.model_fit.residuals import fit_and_residual, parameter_columns
from spokestream.gadgets.model_fit.unknowns import Unknowns
from spokestream.pipelines.files.truth import Truth, read_truth
from spokestream.simulator.acquisition.noise import frame_noise_gain
from spokestream.simulator.exam import Exam
from spokestream.simulator.physics.temporal_basis import compressed_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

NOISE = (0.1, 0.16)
"""Thermal noise of one frame over the mean signal: the default of simulated scans, and that of a foreign scan."""
GOALS = {"t1h2o": 1.0, "ff": 1.05, "deltaf": 1.1, "b1": 1.2}
"""Root mean square error over the bound that iterative images with refinement are to reach."""
LABELS = {"t1h2o": "water T1 (FF < 0.4), ms", "ff": "FF", "deltaf": "off-resonance, Hz", "b1": "B1"}
WAYS = {
    "adjoint": {"images": "adjoint", "refine": "off"},
    "adjoint, refined": {"images": "adjoint", "refine": "on", "denoise": "off"},
    "iterative": {"images": "iterative", "refine": "off"},
    "iterative, refined": {"images": "iterative", "refine": "on"},
    "consistent": {"images": "consistent", "denoise": "off"},
    "adjoint, denoised": {"images": "adjoint", "denoise": "on"},
    "consistent, denoised": {"images": "consistent", "denoise": "on"},
}
"""The settings of every way to maps, by its name."""
CIRCLE = "circle"
BLOCK = 2000
"""Number of voxels whose information is computed at once."""


def bounds(exam: Exam, truth: Truth, soft: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """The Cramer-Rao bound of every parameter (slices, y, x), as a standard deviation; NaN outside soft tissue."""
    phantom, sequence = exam.phantom(0), exam.sequence
    basis = compressed_basis(sequence, WATER_FAT.dictionary(sequence).atoms)
    closed_form, scales = WATER_FAT.closed_form(sequence, basis), Unknowns(WATER_FAT, {})
    weights = basis.weights.astype(np.float64)
    # noise of frames is white; that of coefficients is not, because they are sums of weighted frames
    whitening = torch.from_numpy(np.linalg.inv(np.linalg.cholesky(weights.T @ weights))).to(torch.complex64)
    sigma = exam.sigma * frame_noise_gain(exam.nominal, sequence.spokes_per_frame, phantom.pd.shape)
    seen = np.linalg.solve(np.linalg.cholesky(exam.covariance), exam.sensitivities.reshape(len(exam.sensitivities), -1))
    density = (phantom.pd * np.linalg.norm(seen, axis=0).reshape(phantom.pd.shape))[soft[0]].astype(np.float32)
    maps = {name: np.nan_to_num(truth.maps[name][0]).astype(np.float32) for name in WATER_FAT.names}
    columns = parameter_columns(WATER_FAT, maps, soft[0])
    found = []
    for rho, *block in zip(*(torch.split(c, BLOCK) for c in (torch.from_numpy(density), *columns)), strict=True):
        signal, derivatives = closed_form.at(*block)
        signal, derivatives = signal @ whitening.T, derivatives @ whitening.T
        # proton density and phase are unknown
        _, _, tangents = fit_and_residual(rho[:, None] * signal, signal, derivatives)
        tangents = (tangents * scales.units[:, None] / sigma).double()
        # the T1 of a pool that is not there has no information, and takes none from the others
        fisher = tangents @ tangents.mT + 1e-6 * torch.eye(len(block), dtype=torch.float64)
        std = torch.linalg.inv(fisher).diagonal(dim1=1, dim2=2).sqrt()
        found.append(torch.stack(scales.std(std, block), 1).float())
    out = {}
    for name, column in zip(WATER_FAT.names, torch.cat(found).T, strict=True):
        out[name] = np.full(soft.shape, np.nan, np.float32)
        out[name][soft] = column.numpy()
    return out


def maps_of_circle(exam: Exam, truth: Truth, threads: int) -> dict[str, NDArray[np.float32]]:
    """The refined maps (slices, y, x) of the true images of the first slice within the circle that spokes measure."""
    phantom, sequence = exam.phantom(0), exam.sequence
    basis = compressed_basis(sequence, WATER_FAT.dictionary(sequence).atoms)
    closed_form, mask = WATER_FAT.closed_form(sequence, basis), phantom.pd > 0
    maps = {name: np.nan_to_num(truth.maps[name][0]).astype(np.float32) for name in WATER_FAT.names}
    signal, _ = closed_form.at(*parameter_columns(WATER_FAT, maps, mask))
    images = np.zeros((len(basis.te_ms), *mask.shape), np.complex64)
    images[:, mask] = (signal.numpy() * basis.noise * phantom.pd[mask][:, None]).T
    radius = np.hypot(*np.meshgrid(*(2 * np.fft.fftfreq(n) for n in mask.shape), indexing="ij"))
    within = np.fft.ifft2(np.fft.fft2(images) * (radius <= 1)).astype(np.complex64)
    refined = refined_maps(within, maps, mask, closed_form, threads=threads)
    return {name: values[None] for name, values in refined.items()}


class Figures:
    """Errors of one way to maps, and bounds of the same voxels, collected over scans."""

    def __init__(self) -> None:
        self.errors: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        self.bounds: dict[str, list[NDArray[np.float32]]] = defaultdict(list)

    def add(self, maps: dict[str, NDArray[np.float32]], truth: Truth, bound: dict[str, NDArray[np.float32]]) -> None:
        """Compare the maps of one scan with the truth."""
        for name in GOALS:
            mask = judged(name, truth) & (maps["b1"] != 0)
            self.errors[name].append((maps[name] - truth.maps[name])[mask])
            self.bounds[name].append(bound[name][mask])

    def cells(self, name: str) -> tuple[str, str]:
        """The bound; the root mean square error over it, and the same of medians, which edges hardly change."""
        error, bound = (np.concatenate(x).astype(np.float64) for x in (self.errors[name], self.bounds[name]))
        most = np.sqrt(np.mean(bound**2))
        middle = 1.4826 * np.median(np.abs(error - np.median(error)) / bound)
        digits = ".4f" if name in ("ff", "b1") else ".1f"
        return f"{most:{digits}}", f"{np.sqrt(np.mean(error**2)) / most:.2f} ({middle:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small scan, to test that it runs")
    parser.add_argument("--matrix", type=int, default=350)
    parser.add_argument("--scans", type=int, default=2, help="of each noise")
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    matrix, scans, coils = (48, 1, 4) if arguments.quick else (arguments.matrix, arguments.scans, 12)
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console(width=160)
    print_machine(console, arguments.threads, ["numpy", "torch"])
    for noise in NOISE[:1] if arguments.quick else NOISE:
        figures: dict[str, Figures] = defaultdict(Figures)
        with tempfile.TemporaryDirectory() as folder:
            for seed in track(range(scans), f"noise {noise}", console=console, transient=True):
                path = Path(folder) / "scan.h5"
                settings = SimulationSettings(matrix=matrix, coils=coils, seed=arguments.first_seed + seed, noise=noise)
                simulate_scan(path, settings)
                truth = read_truth(path.with_suffix(".truth.h5"))
                exam = Exam(settings)
                bound = bounds(exam, truth, truth.tissue & ~truth.bone)
                figures[CIRCLE].add(maps_of_circle(exam, truth, arguments.threads), truth, bound)
                for way, chosen in WAYS.items():
                    maps = reconstruct(path, "mrf_t1ff", **chosen, threads=arguments.threads)
                    figures[way].add(maps.values, truth, bound)
        table = Table(title=f"{scans} thighs of {matrix} pixels, noise {noise}: error over the bound, RMS (median)")
        for heading in ("map", "bound", *WAYS, CIRCLE, "goal"):
            table.add_column(heading, justify="right" if heading != "map" else "left")
        for name, goal in GOALS.items():
            cells = [figures[way].cells(name) for way in (*WAYS, CIRCLE)]
            table.add_row(LABELS[name], cells[0][0], *(ratio for _, ratio in cells), f"{goal:g}")
        console.print(table)


if __name__ == "__main__":
    main()
