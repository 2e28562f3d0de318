"""DRONE: a network for single voxels of 25 echo-planar images, against matching (Cohen et al. 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spokestream.models.datasets.atoms import add_noise
from spokestream.models.evaluation.metrics import region_means
from spokestream.models.evaluation.reconstructors import MATCHING, reconstructor
from spokestream.models.training.exporting import export
from spokestream.models.training.loop import train
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.pipelines.studies.study import Claim, Numbers, Report, Results, Step, Study, Table
from spokestream.pipelines.studies.voxels import RelaxationMapper, bias, r_squared, rmse
from spokestream.simulator.phantoms import Phantom, draw_subject, render
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, T1T2Dictionary, T1T2Grid, load_t1t2_dictionary
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import frame_basis

__all__ = ["STUDY"]

SEQUENCE = "epi-cohen-25"
TEST_NOISE = 0.005
"""Standard deviation of the noise of test images over their root mean square; the paper prints .5 % for its Fig. 5."""
T1_MS, T2_MS = (100.0, 5000.0), (5.0, 2500.0)
"""Ranges of the network's output: voxels outside are left out of all errors."""
DIFFICULT = (30.0, 1200.0)
"""The paper states errors of T2 also without compartments whose T2 is shorter or longer than this, in ms."""
FULL = "drone"
FIRST = "training"
"""The step that makes the whole dictionary, and the network that is trained with it."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of the study."""

    matrix: int
    epochs: int
    """Epochs with all atoms."""
    thinned_steps: int
    """Steps of training with every thinned dictionary."""
    factors: tuple[int, ...]
    """Factors by which the dictionary is thinned."""
    repeats: int
    """Random choices of the atoms for each factor."""
    batch: int
    """Atoms in a batch."""
    decay: str
    """Decay of the learning rate; see `TrainingSettings`."""
    grid_step: int
    """Every how many values of T1 and of T2 of the paper's dictionary are used."""


def _steps(sizes: Sizes, seed: int, threads: int) -> Sequence[Step]:
    run = partial(_Bench, sizes, seed, threads)
    thinned = [
        Step(f"thinned-{factor}-{repeat}", lambda folder, f=factor, r=repeat: run(folder).thinned(f, r), [FIRST])  # type: ignore[misc]
        for factor in sizes.factors
        for repeat in range(sizes.repeats)
    ]
    return [
        Step(FIRST, lambda folder: run(folder).training(), []),
        Step("brain", lambda folder: run(folder).brain(FULL), [FIRST]),
        Step("spheres", lambda folder: run(folder).spheres(), [FIRST]),
        *thinned,
    ]


class _Bench:
    """The folder of a run, and what its steps share."""

    def __init__(self, sizes: Sizes, seed: int, threads: int, folder: Path) -> None:
        self.sizes, self.seed, self.threads, self.folder = sizes, seed, threads, folder
        self.sequence = load_sequence(SEQUENCE)

    def training(self) -> Numbers:
        """The errors on the training atoms with their noise, by the network that was trained on all atoms (Fig. 3)."""
        grid = GRIDS["drone"]()
        step = self.sizes.grid_step
        t1, t2 = np.unique(grid.t1_ms)[::step], np.unique(grid.t2_ms)[::step]
        chosen = np.isin(grid.t1_ms, t1) & np.isin(grid.t2_ms, t2)
        dictionary = self._dictionary(FULL, T1T2Grid("drone", grid.t1_ms[chosen], grid.t2_ms[chosen]))
        self._train(
            FULL, TrainingSettings(network="drone", seed=self.seed, epochs=self.sizes.epochs, batch=self.sizes.batch)
        )
        true = {"t1": dictionary.grid.t1_ms[None], "t2": dictionary.grid.t2_ms[None]}
        found = self._maps(FULL, dictionary.signals(), true, TrainingSettings().noise)["network"]
        where = _judged(true)
        r2 = {name: r_squared(found[name][where], true[name][where]) for name in true}
        return {
            "atoms": len(dictionary.grid),
            "r2": r2,
            "bias": bias(found, true, where),
            "rmse": rmse(found, true, where),
        }

    def brain(self, name: str) -> Numbers:
        """The errors of matching and network in a brain with little noise (Fig. 4), with a dictionary by name."""
        phantom = render("brain", draw_subject("volunteers", self.seed), matrix=self.sizes.matrix)
        true = {"t1": phantom.t1h2o[None].astype(float), "t2": phantom.t2h2o[None].astype(float)}
        where = _judged(true) & (phantom.ff[None] == 0) & (phantom.pd[None] > 0)
        true = {key: values[where][None] for key, values in true.items()}
        every = np.ones(true["t1"].shape, bool)
        found = self._maps(name, fingerprint(self.sequence, true["t1"][0], true["t2"][0]), true, TEST_NOISE)
        seconds = found.pop("seconds")
        return {"voxels": int(where.sum()), "seconds": seconds} | {
            method: {"bias": bias(maps, true, every), "rmse": rmse(maps, true, every)} for method, maps in found.items()
        }

    def spheres(self) -> Numbers:
        """The means of the spheres of both layers of the NIST phantom (Fig. 6), and their true values."""
        numbers: dict[str, Any] = {}
        for nominal in (True, False):
            means: dict[str, dict[str, list[float]]] = {}
            for level in (0.5, -0.5):
                phantom = render("nist", draw_subject("volunteers", self.seed), level, matrix=self.sizes.matrix)
                for method, maps in self._spheres_of(phantom, nominal).items():
                    for name, values in maps.items():
                        means.setdefault(method, {}).setdefault(name, []).extend(values)
            numbers["nominal" if nominal else "phantom"] = means
        return numbers

    def thinned(self, factor: int, repeat: int) -> Numbers:
        """The errors in the brain with one atom of `factor`, drawn at random (Fig. 5)."""
        full = load_t1t2_dictionary(self.folder / f"{FULL}.h5").grid
        rng = np.random.default_rng((self.seed, factor, repeat))
        chosen = np.sort(rng.permutation(len(full))[: len(full) // factor])
        name = f"drone-{factor}-{repeat}"
        dictionary = self._dictionary(name, T1T2Grid(name, full.t1_ms[chosen], full.t2_ms[chosen]))
        batch = min(self.sizes.batch, len(dictionary.grid) // 2)
        epochs = max(1, round(self.sizes.thinned_steps / (0.9 * len(dictionary.grid) // batch)))
        self._train(
            name, TrainingSettings(network="drone", seed=self.seed, epochs=epochs, batch=batch, decay=self.sizes.decay)
        )
        return {"atoms": len(dictionary.grid)} | dict(self.brain(name))

    def _dictionary(self, name: str, grid: T1T2Grid) -> T1T2Dictionary:
        return build_t1t2_dictionary(self.folder / f"{name}.h5", self.sequence, grid)

    def _train(self, name: str, settings: TrainingSettings) -> None:
        run, data = self.folder / f"{name}-run", self.folder / f"{name}.h5"
        train(run, data, settings)
        export(run, data, self.folder / f"{name}.pt", name)

    def _maps(self, name: str, signals: NDArray[Any], true: dict[str, Any], noise: float) -> dict[str, Any]:
        """The maps (1, voxels) of matching and network of (voxels, spokes) signals with noise, and their seconds."""
        stored = load_t1t2_dictionary(self.folder / f"{name}.h5")
        atoms = OnePoolDictionary.of(stored)
        frames = torch.from_numpy(np.ascontiguousarray(np.asarray(signals).T, np.complex64))
        noisy = add_noise(frames, noise, np.random.default_rng((self.seed, 1))).numpy()[:, None]
        basis, mask = frame_basis(self.sequence, stored.signals()), np.ones(true["t1"].shape, bool)
        found: dict[str, Any] = {"seconds": {}}
        for method, what in (("matching", MATCHING), ("network", str(self.folder / f"{name}.pt"))):
            mapper = RelaxationMapper(reconstructor(what, precision="float32"), atoms, self.threads)
            mapper(noisy, basis, mask)  # the first slice prepares atoms and weights
            found[method] = mapper(noisy, basis, mask)
            found["seconds"][method] = mapper.seconds
        return found

    def _spheres_of(self, phantom: Phantom, nominal: bool) -> dict[str, dict[str, list[float]]]:
        """Method, and truth -> map -> means over the pure voxels of every sphere."""
        spheres = [n for n, name in enumerate(phantom.label_names) if name.startswith("sphere")]
        where = np.isin(phantom.label, spheres) & (phantom.purity == 1)
        true = {"t1": phantom.t1h2o[where][None].astype(float), "t2": phantom.t2h2o[where][None].astype(float)}
        b1 = 1.0 if nominal else phantom.b1[where]
        found = self._maps(FULL, fingerprint(self.sequence, true["t1"][0], true["t2"][0], b1=b1), true, TEST_NOISE)
        labels, every = phantom.label[where][None], np.ones(true["t1"].shape, bool)
        found.pop("seconds")
        return {
            method: {key: region_means(maps[key], labels, every, spheres).tolist() for key in true}
            for method, maps in (found | {"truth": true}).items()
        }


def _judged(true: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """The mask of the values that lie in the ranges of the network's output."""
    inside = [
        (values >= low) & (values <= high) for values, (low, high) in zip(true.values(), (T1_MS, T2_MS), strict=True)
    ]
    return np.asarray(inside[0] & inside[1])


def _report(sizes: Sizes, results: Results) -> Report:
    training, brain = results["training"], results["brain"]
    fit = Table(
        f"Fig. 3: the {training['atoms']:,} training atoms with 2 % noise, by the network",
        ("", "T1", "paper", "T2", "paper"),
        [
            ("R²", f"{training['r2']['t1']:.4f}", ".99", f"{training['r2']['t2']:.4f}", ".99"),
            ("bias, ms", f"{training['bias']['t1']:+.1f}", "10", f"{training['bias']['t2']:+.1f}", "2.2"),
            ("RMSE, ms", f"{training['rmse']['t1']:.1f}", "9.3", f"{training['rmse']['t2']:.1f}", "8.8"),
        ],
    )
    rows = [
        (
            method,
            *(f"{brain[method]['rmse'][name]:.1f}" for name in ("t1", "t2")),
            f"{brain['seconds'][method]:.3f}",
            paper,
        )
        for method, paper in (("matching", "3 s"), ("network", "3.5 / 7.8 ms, .010 s"))
    ]
    head = Table(
        f"Fig. 4: RMSE in a brain, {brain['voxels']:,} voxels, noise .5 %",
        ("", "T1, ms", "T2, ms", "s", "paper"),
        rows,
    )
    thin, figure = _thinned(sizes, results)
    spheres, claims = _sphere_table(results["spheres"])
    few = max(sizes.factors)
    gains = {name: _gain(sizes, results, name) for name in ("t1", "t2")}
    claims += [
        Claim(
            f"The network's RMSE of {name.upper()} is below that of matching with the same thinned dictionary.",
            all(gain > 1 for gain in gains[name].values()),
            f"{min(gains[name].values()):.1f} to {max(gains[name].values()):.1f} times below (paper {paper})",
        )
        for name, paper in (("t1", "5 to 7"), ("t2", "2"))
    ]
    speed = brain["seconds"]["matching"] / brain["seconds"]["network"]
    claims.append(Claim("The network is faster than matching.", speed > 1, f"{speed:.1f} times (paper 300)"))
    return Report([fit, head, thin, *spheres], claims, {f"Fig. 5: RMSE by the thinning, up to {few} times": figure})


def _thinned(sizes: Sizes, results: Results) -> tuple[Table, Figure]:
    rows, figure = [], Figure(figsize=(8, 3.4), layout="constrained")
    panels = dict(zip(("t1", "t2"), figure.subplots(1, 2), strict=True))
    for name, axes in panels.items():
        for method in ("matching", "network"):
            means_of = np.array([_errors(sizes, results, factor, method, name) for factor in sizes.factors])
            axes.errorbar(sizes.factors, means_of.mean(1), means_of.std(1), label=method, marker="o", capsize=2)
        axes.set(xlabel="thinning of the dictionary", ylabel=f"RMSE of {name.upper()} (ms)", ylim=(0, None))
        axes.legend(frameon=False)
    for factor in sizes.factors:
        cells = []
        for name in panels:
            for method in ("matching", "network"):
                values = _errors(sizes, results, factor, method, name)
                cells.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}")
        rows.append((f"{factor}", f"{results[f'thinned-{factor}-0']['atoms']:,}", *cells))
    heads = ("thinned", "atoms", "T1 matching", "T1 network", "T2 matching", "T2 network")
    return Table(f"Fig. 5: RMSE in ms, mean ± standard deviation of {sizes.repeats} choices", heads, rows), figure


def _errors(sizes: Sizes, results: Results, factor: int, method: str, name: str) -> list[float]:
    return [results[f"thinned-{factor}-{repeat}"][method]["rmse"][name] for repeat in range(sizes.repeats)]


def _gain(sizes: Sizes, results: Results, name: str) -> dict[int, float]:
    """Thinning -> how many times the network's mean error is below that of matching."""
    return {
        f: float(
            np.mean(_errors(sizes, results, f, "matching", name)) / np.mean(_errors(sizes, results, f, "network", name))
        )
        for f in sizes.factors
    }


def _sphere_table(spheres: Numbers) -> tuple[list[Table], list[Claim]]:
    paper = {"t1": ".99; +5.5; 72", "t2": ".99; –; 88; 21; 31"}
    rows, claims = [], []
    for flip, title in (("nominal", "1"), ("phantom", ".95")):
        for method in ("matching", "network"):
            for name in ("t1", "t2"):
                found, true = (np.array(spheres[flip][whose][name]) for whose in (method, "truth"))
                t2 = np.array(spheres[flip]["truth"]["t2"])
                r2, easy = r_squared(found, true), (t2 >= DIFFICULT[0]) & (t2 <= DIFFICULT[1])
                error = found - true
                rows.append(
                    (
                        f"{name.upper()} {method}, B1 {title}", f"{r2:.4f}", f"{error.mean():+.1f}",
                        f"{np.sqrt(np.mean(error**2)):.1f}", f"{error[easy].mean():+.1f}",
                        f"{np.sqrt(np.mean(error[easy] ** 2)):.1f}", paper[name] if method == "network" else "",
                    )
                )  # fmt: skip
                if flip == "nominal":
                    text = f"R² of {name.upper()} of the spheres by {method} is .99 at nominal B1."
                    claims.append(Claim(text, r2 >= 0.99, f"{r2:.4f}"))
    heads = ("", "R²", "bias", "RMSE", "bias*", "RMSE*", "paper")
    n = len(spheres["nominal"]["truth"]["t1"])
    return [
        Table(f"Fig. 6: {n} spheres of the ISMRM/NIST phantom, ms; * of those with T2 of 30 to 1,200 ms", heads, rows)
    ], claims


STUDY = Study(
    "cohen2018",
    "Cohen, Zhu and Rosen, Magn Reson Med 2018;80:885 (DRONE)",
    "Images are computed from phase graphs voxel by voxel, with white noise and an arbitrary phase; the paper scanned "
    "at 1.5 T. Its schedule of 25 flip angles and repetition times is not published: ours is random. The brain is "
    "procedural, without fat. Errors are over voxels with T1 of 100 to 5,000 ms and T2 of 5 to 2,500 ms, the ranges of "
    "the network's output, which is logarithmic. Thinned dictionaries are trained for an equal number of steps.",
    {
        "paper": Sizes(128, 1000, 18000, (2, 5, 10, 20, 30, 40, 50, 60), 10, 4000, "paper", 1),
        "small": Sizes(128, 500, 10_000, (2, 10, 30, 60), 3, 1000, "cosine", 1),
        "smoke": Sizes(32, 2, 10, (2, 4), 1, 100, "cosine", 10),
    },
    _steps,
    _report,
)
