"""Maps of consistent images under stress: python benchmarks/consistency.py [--quick] [--conditions A,B] [--subjects N].

The conditions are those of the stress suite (`docs/evaluation.md`), simulated by the full path. Errors are over soft
tissue: those of water T1 where FF < 0.7, of fat T1 where FF > 0.3. For each condition, water T1 has its bias in
brackets, and the percentages of its errors within one and two standard deviations; correct ones give 68 and 95. Maps
that are denoised are those of consistent images.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from measure import print_machine
from rich.console import Console
from rich.progress import track
from rich.table import Table

from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain
from spokestream.gadgets.imaging.low_rank import echo_times_of
from spokestream.gadgets.map_denoising import MapDenoising
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.denoiser import load_denoiser
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.archives import MATCHING, archive_path, denoiser_path
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import exam_of
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.evaluation.suite.conditions import STRESS, StressCondition, chosen
from spokestream.models.evaluation.texture import TEXTURED, KeptTexture
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT

NETWORK = "ours"
WHERE = {"t1h2o": lambda ff: ff < 0.7, "t1fat": lambda ff: ff > 0.3}
"""Voxels in which errors of a map count, by the true fat fraction; all others count everywhere."""
DIGITS = {"t1h2o": ".0f", "ff": ".4f", "deltaf": ".2f", "b1": ".4f", "t1fat": ".1f"}
LABELS = {"t1h2o": "water T1, ms", "ff": "FF", "deltaf": "off-resonance, Hz", "b1": "B1", "t1fat": "fat T1, ms"}
FINE = 1
"""The band of fine texture, counted from the finest one."""


def ways(
    scan: ScanContext, network: TiledNetwork | None, basis: TemporalBasis, receiver_hz: float
) -> Iterator[tuple[str, Chain]]:
    """The chains from fingerprints to maps, by name."""
    closed_form = WATER_FAT.closed_form(scan.sequence, basis)
    dictionary = WATER_FAT.dictionary(scan.sequence)

    refinement = Refinement(scan, closed_form)

    def consistent(*, anew: bool) -> Consistency:
        return Consistency(scan, closed_form, receiver_hz, refinement, anew=anew)

    matching = DictionaryMatching(scan, WATER_FAT, dictionary), refinement
    yield "matching, refined", Chain([*matching])
    yield "matching, consistent", Chain([*matching, consistent(anew=True)])

    def denoising(first_maps: str) -> MapDenoising:
        return MapDenoising(scan, closed_form, load_denoiser(denoiser_path(WATER_FAT.name, first_maps)))

    yield "matching, denoised", Chain([*matching, consistent(anew=True), denoising(MATCHING)])
    if network is not None:
        inference = NetworkInference(scan, network, closed_form=closed_form)
        yield NETWORK, Chain([inference])
        yield f"{NETWORK}, refined", Chain([inference, refinement])
        yield f"{NETWORK}, consistent", Chain([inference, consistent(anew=False)])
        yield f"{NETWORK}, denoised", Chain([inference, consistent(anew=False), denoising(NETWORK)])


class Errors:
    """Errors of one way in one condition."""

    def __init__(self) -> None:
        self.errors: dict[str, list[Float]] = defaultdict(list)
        self.ratios: list[Float] = []
        self.texture = KeptTexture(TEXTURED["t1h2o"][2])
        self.seconds: list[float] = []

    def add(self, maps: dict[str, Float], truth: dict[str, Float], soft: Mask, seconds: float) -> None:
        """Compare the maps of one slice with the truth."""
        self.seconds.append(seconds)
        for name in DIGITS:
            mask = soft & WHERE.get(name, np.isfinite)(truth["ff"])
            error = (maps[name] - truth[name])[mask]
            self.errors[name].append(error)
            if name == "t1h2o":
                self.ratios.append(np.abs(error) / maps["t1h2o_std"][mask].clip(1e-6))
        self.texture.add(maps["t1h2o"], truth["t1h2o"], soft & (truth["ff"] < 0.3))

    def cells(self) -> list[str]:
        """The row of a table."""
        row = []
        for name, digits in DIGITS.items():
            error = np.concatenate(self.errors[name]).astype(np.float64)
            bias = f" ({error.mean():+.0f})" if name == "t1h2o" else ""
            row.append(f"{np.sqrt(np.mean(error**2)):{digits}}{bias}")
        ratio = np.concatenate(self.ratios)
        kept = self.texture.result()[FINE]["kept"]
        return [
            *row, f"{100 * np.mean(ratio < 1):.0f}, {100 * np.mean(ratio < 2):.0f}",
            "" if np.isnan(kept) else f"{100 * kept:.0f}", f"{np.median(self.seconds):.1f}",
        ]  # fmt: skip


def fingerprints_of(
    condition: StressCondition, subjects: int, subject: int, matrix: int, basis: TemporalBasis
) -> tuple[Fingerprints, dict[str, Float], Mask]:
    """The fingerprints of a subject with their operator, the true maps, and the mask of soft tissue."""
    settings = condition.data_settings(subjects, 1, matrix)
    exam = exam_of(settings, settings.first_seed + subject)
    atoms = WATER_FAT.dictionary(exam.sequence).atoms
    made = full_fingerprints(
        exam, 0, basis, virtual_coils=settings.virtual_coils, demodulation_hz=settings.demodulation_hz,
        correct_delays=True, inversion=echo_times_of(WATER_FAT, exam.sequence, basis, atoms), for_maps=True,
    )  # fmt: skip
    phantom = exam.phantoms[0]
    truth = {name: getattr(phantom, name) for name in DIGITS}
    bone = np.isin(phantom.label, [i for i, name in enumerate(phantom.label_names) if "bone" in name])
    return made, truth, made.foreground & (phantom.pd > 0) & ~bone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small slice, to test that it runs")
    parser.add_argument("--conditions", default=",".join(c.name for c in STRESS))
    parser.add_argument("--subjects", type=int, default=1)
    parser.add_argument("--matrix", type=int, default=350)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    matrix, names = (48, ["default"]) if arguments.quick else (arguments.matrix, arguments.conditions.split(","))
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console(width=170)
    print_machine(console, arguments.threads, ["numpy", "torch", "finufft"])
    network = TiledNetwork(load_archive(archive_path(NETWORK)), "cpu")
    table = Table(title=f"{arguments.subjects} subjects of one slice, {matrix} pixels")
    for heading in ("condition", "maps", *LABELS.values(), "within 1, 2 sd, %", "fine texture, %", "s"):
        table.add_column(heading, justify="left" if heading in ("condition", "maps") else "right")
    for condition in track(chosen(names), "conditions", console=console, transient=True):
        found: dict[str, Errors] = defaultdict(Errors)
        sequence = load_sequence(condition.data_settings(1, 1, matrix).sequence)
        fits = network.contract.sequence.difference(sequence) is None
        basis = network.contract.basis if fits else compressed_basis(sequence, WATER_FAT.dictionary(sequence).atoms)
        scan = simulated_scan(sequence, arguments.threads)
        chains = dict(ways(scan, network if fits else None, basis, network.contract.demodulation_hz))
        for subject in range(arguments.subjects):
            message, truth, soft = fingerprints_of(condition, arguments.subjects, subject, matrix, basis)
            for name, chain in chains.items():
                begin = perf_counter()
                (maps,) = (m for m in chain.feed(message) if isinstance(m, ParameterMaps))
                found[name].add(maps.maps, truth, soft, perf_counter() - begin)
        for name, errors in found.items():
            table.add_row(condition.name, name, *errors.cells())
    console.print(table)


if __name__ == "__main__":
    main()
