"""The matchers of T1 and T2 on simulated brains, against the truth: python benchmarks/matchers.py [--quick].

The size of the papers is --subjects 10 --matrix 256 --coils 12.
"""

# isort: split
import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from measure import print_machine, slice_before
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.matching.matchers import ONE_POOL
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import read_truth
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan

TISSUES = ("white matter", "grey matter")

Errors = dict[tuple[str, str], list[NDArray[np.float64]]]
"""Tissue and parameter -> the pairs (2, voxels) of found and true values, a list of subjects."""


def compare(folder: Path, settings: SimulationSettings, threads: int, errors: dict[str, Errors], seconds) -> None:
    """Simulate one subject, match its slice with every matcher, and add values and times to the lists."""
    path = folder / "scan.h5"
    simulate_scan(path, settings)
    readouts, truth = read_scan(path), read_truth(truth_path(path))
    sequence = load_sequence(settings.sequence)
    scan = ScanContext(ScanHeader.from_xml(readouts.xml), sequence, threads)
    fingerprints = slice_before(DictionaryMatching, path, "mrf_t1t2", threads=threads)
    dictionary = RELAXATION.dictionary(sequence)
    for name in ONE_POOL:
        gadget = DictionaryMatching(replace(scan, provenance={}), RELAXATION, dictionary, matcher=name)
        list(gadget.feed(fingerprints))  # the atoms are prepared once in a scan
        begin = perf_counter()
        (found,) = gadget.feed(fingerprints)
        seconds[name].append(perf_counter() - begin)
        for tissue in TISSUES:
            where = found.foreground & (truth.label[0] == truth.names.index(tissue)) & (truth.maps["ff"][0] == 0)
            for parameter in RELAXATION.names:
                pair = np.stack([found.maps[parameter][where], truth.maps[parameter][0][where]])
                errors[name][tissue, parameter].append(pair.astype(np.float64))


def error_table(errors: dict[str, Errors], seconds: dict[str, list[float]], title: str) -> Table:
    """Bias and RMSE in ms over all voxels of all subjects, and the median time of a slice."""
    table = Table(title=title, caption="bias / RMSE in ms; time of the search of a slice, without preparing the atoms")
    table.add_column("matcher")
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
    parser.add_argument("--sequence", default="fisp-song-1000")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.subjects, arguments.matrix, arguments.coils, arguments.sequence = 1, 48, 2, "fisp-song-200"
    console = Console()
    print_machine(console, arguments.threads, ["numpy", "torch"])
    errors: dict[str, Errors] = {name: defaultdict(list) for name in ONE_POOL}
    seconds: dict[str, list[float]] = defaultdict(list)
    for subject in range(arguments.subjects):
        settings = SimulationSettings(
            anatomy="brain", population="volunteers", seed=subject, matrix=arguments.matrix, coils=arguments.coils,
            noise=arguments.noise, sequence=arguments.sequence,
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            compare(Path(folder), settings, arguments.threads, errors, seconds)
        console.print(f"subject {subject + 1} of {arguments.subjects}", highlight=False)
    title = (
        f"{arguments.subjects} brains, {arguments.matrix} x {arguments.matrix}, {arguments.coils} coils, "
        f"noise {arguments.noise}, {arguments.sequence}"
    )
    console.print(error_table(errors, seconds, title))


if __name__ == "__main__":
    main()
