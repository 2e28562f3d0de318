"""T1 and T2 of simulated brains by every matcher and by a network, against the truth.

`python benchmarks/matchers.py [--quick]`; the size of the papers is `--subjects 10 --matrix 256 --coils 12`. With
`--scans FOLDER`, scans are kept there and read again.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from measure import print_machine, slice_before
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.matching.matchers import ONE_POOL
from spokestream.gadgets.network.archive import load_archive, read_contract
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.models.archives import archive_path, shipped_networks
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import Truth, read_truth
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

TISSUES = ("white matter", "grey matter", "deep grey matter")
"""Errors are over voxels of one tissue only."""
FIRST_SEED = 200
"""No network that comes with the software was trained on these brains."""
ADJOINT, ITERATIVE = "adjoint", "iterative"

Errors = dict[tuple[str, str], list[NDArray[np.float64]]]
"""Tissue and parameter -> the pairs (2, voxels) of found and true values, a list of subjects."""


def pairs(maps: Mapping[str, NDArray[Any]], truth: Truth) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Tissue and parameter -> found and true values (2, voxels) of a slice, where a map has a value."""
    found = {}
    for tissue in TISSUES:
        label = truth.names.index(tissue)
        pure = (truth.label[0] == label) & (truth.maps["ff"][0] == 0) & (truth.purity[0] == 1)
        for name in RELAXATION.names:
            where = pure & (maps[name] > 0)
            found[tissue, name] = np.stack([maps[name][where], truth.maps[name][0][where]]).astype(np.float64)
    return found


def compare(
    path: Path,
    sequence: PulseSequence,
    networks: list[Path],
    threads: int,
    errors: dict[str, Errors],
    seconds: dict[str, list[float]],
) -> None:
    """Map the slice of a scan by every matcher and network, and add values and times to the lists."""
    readouts, truth = read_scan(path), read_truth(truth_path(path))
    scan = ScanContext(ScanHeader.from_xml(readouts.xml), sequence, threads)
    dictionary = RELAXATION.dictionary(sequence)

    def add(row: str, maps: Mapping[str, NDArray[Any]]) -> None:
        for key, pair in pairs(maps, truth).items():
            errors[row][key].append(pair)

    for images, names in ((ITERATIVE, ONE_POOL), (ADJOINT, ("exact",))):
        fingerprints = slice_before(DictionaryMatching, path, "mrf_t1t2", threads=threads, images=images)
        for name in names:
            gadget = DictionaryMatching(replace(scan, provenance={}), RELAXATION, dictionary, matcher=name)
            list(gadget.feed(fingerprints))  # the atoms are prepared once in a scan
            begin = perf_counter()
            (found,) = gadget.feed(fingerprints)
            row = name if images == ITERATIVE else f"{name}, adjoint"
            seconds[row].append(perf_counter() - begin)
            add(row, found.maps)
    for archive in networks:
        fingerprints = slice_before(NetworkInference, path, "mrf_t1t2_net", threads=threads, archive=archive)
        network = TiledNetwork(load_archive(archive))
        gadget = NetworkInference(replace(scan, provenance={}), network)
        begin = perf_counter()
        (found,) = gadget.feed(fingerprints)
        seconds[network.contract.name].append(perf_counter() - begin)
        add(network.contract.name, found.maps)


def fitting_networks(sequence: PulseSequence) -> list[Path]:
    """The archives that come with the software and were trained for a sequence."""
    archives = [archive_path(name) for name in shipped_networks()]
    return [archive for archive in archives if not read_contract(archive).sequence.difference(sequence)]


def error_table(errors: dict[str, Errors], seconds: dict[str, list[float]], title: str) -> Table:
    """Bias and RMSE in ms over all voxels of all subjects, and the median time of a slice."""
    table = Table(title=title, caption="bias / RMSE in ms; time of the search of a slice, without preparing the atoms")
    table.add_column("method")
    for tissue in TISSUES:
        for parameter in RELAXATION.names:
            table.add_column(f"{parameter.upper()} {tissue}", justify="right")
    table.add_column("s", justify="right")
    for name, of_tissue in errors.items():
        cells = []
        for tissue in TISSUES:
            for parameter in RELAXATION.names:
                found, true = np.concatenate(of_tissue[tissue, parameter], axis=1)
                bias, rmse = np.mean(found - true), np.sqrt(np.mean((found - true) ** 2))
                cells.append(f"{bias:+.1f} / {rmse:.1f}")
        table.add_row(name, *cells, f"{np.median(seconds[name]):.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small brain and a short train, to test that it runs")
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--matrix", type=int, default=128)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--noise", type=float, default=SimulationSettings().noise, help="see `spokestream simulate`")
    parser.add_argument("--sequence", default="fisp-fang-576")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--archive", type=Path, action="append", default=[], help="another network of this sequence")
    parser.add_argument("--scans", type=Path, help="folder in which scans are kept, one for each subject and sequence")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.subjects, arguments.matrix, arguments.coils, arguments.sequence = 1, 48, 2, "fisp-song-200"
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console(width=160)
    print_machine(console, arguments.threads, ["numpy", "torch"])
    errors: dict[str, Errors] = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, list[float]] = defaultdict(list)
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.subjects):
        settings = SimulationSettings(
            anatomy="brain", population="volunteers", seed=seed, matrix=arguments.matrix, coils=arguments.coils,
            noise=arguments.noise, sequence=arguments.sequence,
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            path = (arguments.scans or Path(folder)) / f"{arguments.sequence}-{seed}.h5"
            if not path.exists():
                simulate_scan(path, settings)
            sequence = load_sequence(arguments.sequence)
            networks = fitting_networks(sequence) + arguments.archive
            compare(path, sequence, networks, arguments.threads, errors, seconds)
        n = seed - FIRST_SEED + 1
        title = f"{n} of {arguments.subjects} brains, {settings.matrix} x {settings.matrix} pixels, {settings.coils} "
        title += f"coils, noise {settings.noise}, {settings.sequence}"
        console.print(error_table(errors, seconds, title))


if __name__ == "__main__":
    main()
