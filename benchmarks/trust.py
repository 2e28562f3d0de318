"""What the map of trust finds: python benchmarks/trust.py [--quick] [--matrix N] [--scans N].

Thighs are simulated, and the physics check gets their fingerprints with maps whose errors are known: the true maps with
a little noise, refined matching, and the network; then the true maps with an error in regions of 50 voxels within pure
muscle. False alarms are the voxels with the code of a parameter in maps without such errors.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from measure import print_machine
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.messages import ParameterMaps
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import Truth, read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.selection import select, start_scan
from spokestream.simulator.physics.quantities import AT_LIMIT, MISFIT, QUANTITIES, wrong_code
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT
from spokestream.simulator.simulate import simulate_scan
from spokestream.simulator.simulation_settings import SimulationSettings

NOISE = {"ff": 0.005, "t1h2o": 10.0, "t1fat": 4.0, "deltaf": 0.5, "b1": 0.004}
"""Noise of the true maps that the check gets: about half of that of a network."""
ERRORS = {"t1h2o": 150.0, "deltaf": 10.0, "b1": 0.04, "ff": 0.05, "t1fat": 40.0}
VOXELS, REGIONS, APART = 50, 20, 20
"""Voxels of a region, number of regions at most, and least distance of their centres in pixels."""
FATTEST = 0.6
"""Largest fat fraction of the muscle in which regions lie; fat T1 is changed where there is more than 0.4 instead."""


def checked_messages(path: Path, pipeline: str, **settings: Any) -> tuple[PhysicsCheck, list[ParameterMaps]]:
    """The physics check of a scan, and what it gets."""
    scan = read_scan(path)
    selection = select(pipeline).with_parameters(settings, trusted=True)
    gadgets = start_scan(selection, scan.xml, logging.getLogger("benchmark")).gadgets
    (place,) = (i for i, gadget in enumerate(gadgets) if isinstance(gadget, PhysicsCheck))
    check = gadgets[place]
    assert isinstance(check, PhysicsCheck)
    return check, [m for m in run_chain(Chain(gadgets[:place]), scan) if isinstance(m, ParameterMaps)]


def with_true_maps(message: ParameterMaps, truth: Truth, rng: np.random.Generator) -> ParameterMaps:
    """The message with the true maps of its slice, where they are known, and a little noise."""
    true = {name: truth.maps[name][message.slice] for name in WATER_FAT.names}
    known = np.all([np.isfinite(true[name]) | (name in ("t1h2o", "t1fat")) for name in true], axis=0)
    mask = message.foreground & truth.tissue[message.slice] & known
    maps = {}
    for name, values in true.items():
        held = mask & np.isfinite(values)
        noisy = values + NOISE[name] * rng.standard_normal(values.shape)
        maps[name] = np.where(held, noisy.clip(0, 1) if name == "ff" else noisy, 0).astype(np.float32)
    return replace(message, maps=maps, foreground=mask, limits={})


def regions(base: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Round regions in a mask (y, x), far from each other."""
    places, chosen = np.argwhere(base), []
    out = np.zeros(base.shape, bool)
    for centre in rng.permutation(places):
        if any(np.hypot(*(centre - other)) < APART for other in chosen):
            continue
        distance = np.hypot(*(places - centre).T)
        near = np.argsort(distance)[:VOXELS]
        if len(near) == VOXELS and distance[near].max() <= 1.4 * np.sqrt(VOXELS / np.pi):
            chosen.append(centre)
            out[tuple(places[near].T)] = True
        if len(chosen) == REGIONS:
            break
    return out


def main() -> None:
    """Simulate, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one thigh of 96 pixels")
    parser.add_argument("--matrix", type=int, default=350)
    parser.add_argument("--scans", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--first", type=int, default=20, help="the first subject")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the node")
    arguments = parser.parse_args()
    matrix, scans = (96, 1) if arguments.quick else (arguments.matrix, arguments.scans)
    console, rng = Console(), np.random.default_rng(0)
    print_machine(console, arguments.threads, ["numpy", "torch", "scipy"])
    alarms: dict[str, list[list[float]]] = {}
    found: dict[str, list[list[float]]] = {}
    seconds = []
    for seed in range(arguments.first, arguments.first + scans):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scan.h5"
            efficiency = 1.0 - 0.05 * (seed % 2)
            simulate_scan(
                path,
                SimulationSettings(matrix=matrix, seed=seed, noise=arguments.noise, inversion_efficiency=efficiency),
            )
            truth = read_truth(path.with_suffix(".truth.h5"))
            threads = arguments.threads
            check, (refined,) = checked_messages(path, "mrf_t1ff", threads=threads, denoise="off")
            _, (denoised,) = checked_messages(path, "mrf_t1ff", threads=threads)
            net_check, (network,) = checked_messages(path, "mrf_t1ff_net", threads=threads)
        true = replace(with_true_maps(refined, truth, rng), inversion_efficiency=efficiency)
        for title, gadget, message in (
            ("true, with noise", check, true), ("refined matching", check, refined),
            ("the same, denoised", check, denoised), ("network", net_check, network),
        ):  # fmt: skip
            begin = perf_counter()
            (result,) = gadget.feed(message)
            seconds.append(perf_counter() - begin)
            trust = result.maps["trust"][message.foreground]
            special = np.isin(trust, (0, MISFIT, AT_LIMIT))
            parts = [np.mean(~special), np.mean(trust == MISFIT), np.mean(trust == AT_LIMIT)]
            alarms.setdefault(title, []).append([float(part) for part in parts])
        pure = truth.purity[0] == 1
        muscle = np.isin(truth.label[0], [i for i, n in enumerate(truth.names) if n.startswith(("left ", "right "))])
        for name, error in ERRORS.items():
            fat = truth.maps["ff"][0]
            base = true.foreground & pure & ((fat > 0.4) if name == "t1fat" else muscle & (fat < FATTEST))
            for sign in (1, -1):
                where = regions(base, rng)
                changed = true.maps[name] + np.float32(sign * error) * where
                maps = true.maps | {name: changed.clip(0, 1) if name == "ff" else changed}
                (result,) = check.feed(replace(true, maps=maps))
                trust = result.maps["trust"][where]
                code = -sign * wrong_code(QUANTITIES[name])
                of_any = float(np.mean(~np.isin(trust, (0, MISFIT))))
                found.setdefault(f"{QUANTITIES[name].title} {sign * error:+g}", []).append(
                    [of_any, float(np.mean(trust == code)), float(np.mean(trust != 0)), where.sum() / VOXELS]
                )
    table = Table("maps without such errors", "a parameter", "misfit", "at limit")
    for title, rows in alarms.items():
        table.add_row(title, *(f"{value:.1%}" for value in np.mean(rows, axis=0)))
    console.print(table)
    table = Table("error in 50 voxels", "a parameter", "the right one", "any code", "regions")
    for title, rows in found.items():
        mean = np.mean(rows, axis=0)
        table.add_row(title, *(f"{value:.0%}" for value in mean[:3]), f"{mean[3] * len(rows):.0f}")
    console.print(table)
    console.print(f"The physics check took {np.median(seconds):.2f} s.")


if __name__ == "__main__":
    main()
