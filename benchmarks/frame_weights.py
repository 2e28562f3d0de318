"""Errors of maps with and without weighting frames by noise: python benchmarks/frame_weights.py [--quick]."""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.coil_compression import CoilCompression
from spokestream.gadgets.dictionary_matching import parameter_maps
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.gridding import Gridding
from spokestream.gadgets.matching.two_pools import TwoPoolAtoms
from spokestream.gadgets.messages import Fingerprints
from spokestream.gadgets.noise_whitening import NoiseWhitening
from spokestream.gadgets.readout import Readout
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.gadgets.scan.header_sequence import sequence_from_header
from spokestream.gadgets.spoke_accumulation import SpokeAccumulation
from spokestream.pipelines.files.ismrmrd_file import read_scan
from spokestream.pipelines.files.truth import Truth, map_errors, read_truth
from spokestream.pipelines.run_chain import run_chain
from spokestream.pipelines.settings import T1FFSettings
from spokestream.simulator.physics.dictionaries.water_fat import WaterFatDictionary, build_dictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis, frame_basis
from spokestream.simulator.scan_files.scan_file import truth_path
from spokestream.simulator.simulate import SimulationSettings, simulate_scan


def fingerprints(path: Path, scan: ScanContext, basis: TemporalBasis) -> Fingerprints:
    """The frames of the only slice of a scan, computed by the gadgets of the pipeline `mrf_t1ff`."""
    readout = Readout(scan, demodulation_hz=T1FFSettings().demodulation_hz)
    gadgets = [NoiseWhitening(scan), readout, CoilCompression(scan), SpokeAccumulation(scan), Gridding(scan, basis)]
    return next(m for m in list(run_chain(Chain(gadgets), read_scan(path))) if isinstance(m, Fingerprints))


def rmse(
    frames: Fingerprints, dictionary: WaterFatDictionary, basis: TemporalBasis, truth: Truth, threads: int
) -> dict[str, float]:
    """The RMSE of every map over muscle and fat together; water T1 where FF < 0.7, fat T1 where FF > 0.3."""
    maps = parameter_maps(frames, TwoPoolAtoms(dictionary, basis), threads).maps
    rows = [row for row in map_errors({name: m[None] for name, m in maps.items()}, truth) if row.voxels]
    of_map = {name: [row for row in rows if row.name == name] for name in dict.fromkeys(row.name for row in rows)}
    return {
        name: float(np.sqrt(np.average([r.rmse**2 for r in tissues], weights=[r.voxels for r in tissues])))
        for name, tissues in of_map.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small matrix, to test that it runs")
    settings = SimulationSettings(matrix=64) if parser.parse_args().quick else SimulationSettings()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        simulate_scan(path, settings)
        header = ScanHeader.from_xml(read_scan(path).xml)
        scan = ScanContext(header, sequence_from_header(header, settings.sequence))
        dictionary = build_dictionary(scan.sequence)
        equal, weighted = frame_basis(scan.sequence), frame_basis(scan.sequence, dictionary.atoms)
        frames, truth = fingerprints(path, scan, equal), read_truth(truth_path(path))
    before, after = (rmse(frames, dictionary, basis, truth, scan.threads) for basis in (equal, weighted))
    table = Table("map", title="RMSE against the truth")
    for column in ("equal weights", "weighted by noise", "ratio"):
        table.add_column(column, justify="right")
    for name in before:
        table.add_row(name, f"{before[name]:.3g}", f"{after[name]:.3g}", f"{after[name] / before[name]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
