"""All ways to maps under stress: python benchmarks/consistency.py [--quick] [--conditions A,B] [--subjects N].

The conditions are those of the stress suite (`docs/evaluation.md`), simulated by the full path. Errors are over soft
tissue: those of water T1 where FF < 0.7 or 0.4, of fat T1 where FF > 0.3. Water T1 beyond the range of the parameter,
that of fluids, counts apart. If standard deviations are correct, 68 and 95 % of the errors are within one and two of
them. A large error is caught if the map of trust doubts the voxel.

Prints one table in Markdown for each quantity, those of `docs/evaluation.md`. With `--results FOLDER`, every subject is
kept in a file there, for the same networks: a run that was interrupted goes on, and processes to which other conditions
are given can use the same folder. After a change of the code, take another folder.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from measure import print_machine
from rich.console import Console
from rich.progress import track

from spokestream.gadgets.consistency import Consistency
from spokestream.gadgets.dictionary_matching import DictionaryMatching
from spokestream.gadgets.gadget import Chain, Gadget
from spokestream.gadgets.imaging.image_kinds import ADJOINT, CONSISTENT
from spokestream.gadgets.imaging.low_rank import echo_times_of
from spokestream.gadgets.map_denoising import MapDenoising
from spokestream.gadgets.messages import Fingerprints, Float, Mask, ParameterMaps
from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.denoiser import load_denoiser
from spokestream.gadgets.network.tiled_network import TiledNetwork
from spokestream.gadgets.network_inference import NetworkInference
from spokestream.gadgets.physics_check import PhysicsCheck
from spokestream.gadgets.refinement import Refinement
from spokestream.gadgets.scan.context import ScanContext
from spokestream.models.archives import MATCHING, archive_path, denoiser_path
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import exam_of
from spokestream.models.datasets.simulated_scan import simulated_scan
from spokestream.models.evaluation.scores import LARGE_ERROR
from spokestream.models.evaluation.suite.conditions import STRESS, StressCondition, chosen
from spokestream.models.evaluation.texture import TEXTURED, KeptTexture
from spokestream.simulator.physics.quantities import TRUSTED
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis, compressed_basis
from spokestream.simulator.physics.tissue_models.water_fat import WATER_FAT, WaterFatSignal
from spokestream.whole_files import whole_file

NETWORKS = "ours", "balsiger2020"
DENOISERS = (MATCHING, ADJOINT), (MATCHING, CONSISTENT), ("ours", CONSISTENT)
"""First maps and images for which there is a denoiser."""
LONGEST = next(p.high for p in WATER_FAT.parameters if p.name == "t1h2o")
"""Longest water T1 in ms that a method gives."""
FINE = 1
"""The band of fine texture, counted from the finest one."""


@dataclass(frozen=True)
class Measure:
    """Errors of a map that are counted together."""

    map: str
    words: str
    digits: str
    counts: Callable[[dict[str, Float]], Mask] = lambda truth: np.isfinite(truth["ff"])
    """The voxels, by the true maps."""
    biased: bool = False
    """Whether the bias is of interest, too."""


def lean(below: float) -> Callable[[dict[str, Float]], Mask]:
    """The voxels with a fat fraction below a value, but not fluids."""
    return lambda truth: (truth["ff"] < below) & (truth["t1h2o"] <= LONGEST)


MEASURES = (
    Measure("t1h2o", "Water T1 in ms, FF < 0.7", ".0f", lean(0.7), biased=True),
    Measure("t1h2o", "Water T1 in ms, FF < 0.4", ".0f", lean(0.4), biased=True),
    Measure("ff", "Fat fraction", ".4f"),
    Measure("deltaf", "Off-resonance in Hz", ".2f"),
    Measure("b1", "B1", ".4f"),
    Measure("t1fat", "Fat T1 in ms, FF > 0.3", ".1f", lambda truth: truth["ff"] > 0.3),
    Measure(
        "t1h2o", f"Water T1 in ms, fluids beyond {LONGEST:g} ms", ".0f", lambda t: t["t1h2o"] > LONGEST, biased=True
    ),
)


@dataclass(frozen=True)
class Way:
    """A way to maps."""

    name: str
    after: str
    """The way whose maps it continues; empty if it begins with fingerprints."""
    gadget: Gadget[Any, ParameterMaps]


def ways(
    scan: ScanContext, networks: list[TiledNetwork], closed_form: WaterFatSignal, receiver_hz: float
) -> Iterator[Way]:
    """All ways; each comes after the one that it continues."""
    refinement = Refinement(scan, closed_form)

    dictionary = WATER_FAT.dictionary(scan.sequence)

    def consistent(first_maps: str, after: str) -> Iterator[Way]:
        """What follows maps in images of the adjoint."""
        name = f"{first_maps}, consistent"
        yield Way(name, after, Consistency(scan, closed_form, receiver_hz, refinement, anew=first_maps == MATCHING))
        yield denoised(name, first_maps, CONSISTENT)

    def denoised(after: str, first_maps: str, images: str) -> Way:
        denoiser = load_denoiser(denoiser_path(WATER_FAT.name, first_maps, images))
        return Way(f"{after}, denoised", after, MapDenoising(scan, closed_form, denoiser))

    yield Way(MATCHING, "", DictionaryMatching(scan, WATER_FAT, dictionary))
    quick, after = DictionaryMatching(scan, WATER_FAT, dictionary, matcher="promising"), f"{MATCHING}, refined"
    yield Way(after, "", Chain([quick, refinement]))
    yield denoised(after, MATCHING, ADJOINT)
    yield from consistent(MATCHING, after)
    for network in networks:
        name = network.contract.name
        yield Way(name, "", NetworkInference(scan, network, closed_form=closed_form))
        if (name, CONSISTENT) in DENOISERS:
            yield Way(f"{name}, refined", name, refinement)
            yield from consistent(name, name)


def found_errors(maps: Mapping[str, Float], truth: dict[str, Float], soft: Mask, seconds: float) -> dict[str, Any]:
    """The sums over the voxels of one slice, whose maps were checked, from which those over slices follow."""
    measures = []
    for measure in MEASURES:
        mask = soft & measure.counts(truth)
        error = (maps[measure.map] - truth[measure.map])[mask].astype(np.float64)
        measures.append([int(mask.sum()), float(error.sum()), float(error @ error)])
    judged = soft & lean(0.7)(truth)
    error, fat = (maps["t1h2o"] - truth["t1h2o"])[judged].astype(np.float64), truth["ff"][judged]
    within = None
    if "t1h2o_std" in maps:
        ratio = np.abs(error) / maps["t1h2o_std"][judged].clip(1e-6)
        within = [int((ratio < k).sum()) for k in (1, 2)]
    large, doubted = np.abs(error) > LARGE_ERROR["t1h2o"], maps["trust"][judged] != TRUSTED
    third = np.searchsorted(np.quantile(fat, (1 / 3, 2 / 3)), fat)
    texture = KeptTexture(TEXTURED["t1h2o"][2])
    texture.add(maps["t1h2o"], truth["t1h2o"], soft & (truth["ff"] < 0.3))
    return {
        "measures": measures, "within": within,
        "caught": [int(n.sum()) for n in (large, large & doubted, ~large, ~large & doubted)],
        "thirds": [[int((third == i).sum()), float(error[third == i].sum())] for i in range(3)],
        "kept": texture.result()[FINE]["kept"], "seconds": seconds,
    }  # fmt: skip


def tables(found: dict[str, dict[str, list[dict[str, Any]]]]) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """The heading of every table, and its cells by condition and way, from the slices by condition and way."""

    def table(cell: Callable[[list[dict[str, Any]]], str]) -> dict[str, dict[str, str]]:
        return {condition: {way: cell(slices) for way, slices in by_way.items()} for condition, by_way in found.items()}

    for number, measure in enumerate(MEASURES):

        def cell(slices: list[dict[str, Any]], number: int = number, measure: Measure = measure) -> str:
            n, total, squares = np.sum([one["measures"][number] for one in slices], axis=0)
            bias = f" ({total / n:+.0f})" if measure.biased and n else ""
            return f"{np.sqrt(squares / n):{measure.digits}}{bias}" if n else ""

        yield f"{measure.words}: RMSE" + (" and bias" if measure.biased else ""), table(cell)

    def within(slices: list[dict[str, Any]]) -> str:
        if not slices[0]["within"]:
            return ""
        n = sum(one["measures"][0][0] for one in slices)
        return ", ".join(f"{100 * k / n:.0f}" for k in np.sum([one["within"] for one in slices], axis=0))

    def biases(slices: list[dict[str, Any]]) -> str:
        return ", ".join(f"{total / n:+.0f}" for n, total in np.sum([one["thirds"] for one in slices], axis=0))

    def kept(slices: list[dict[str, Any]]) -> str:
        shares = [one["kept"] for one in slices if np.isfinite(one["kept"])]
        return f"{100 * np.mean(shares):.0f}" if shares else ""

    def caught(slices: list[dict[str, Any]]) -> str:
        large, of_large, others, of_others = np.sum([one["caught"] for one in slices], axis=0)
        share = f"{100 * of_large / large:.0f} of {large}" if large else "none"
        return f"{share}, {100 * of_others / others:.1f}"

    yield "Water T1: % of the errors within one and two standard deviations", table(within)
    large = f"the errors over {LARGE_ERROR['t1h2o']:g} ms"
    yield f"Water T1: % of {large} that are caught, and % of the other voxels that are doubted", table(caught)
    yield "Water T1: bias in ms in the thirds of the voxels with the least and the most fat", table(biases)
    yield "Water T1: % of the texture that is kept, in the second finest band", table(kept)
    yield "Seconds of a slice", table(lambda slices: f"{np.median([one['seconds'] for one in slices]):.1f}")


def markdown(heading: str, cells: dict[str, dict[str, str]]) -> str:
    """One table. Cells of ways that a condition lacks are empty; conditions without any value are left out."""
    ways = list(max(cells.values(), key=len))
    rows = [
        f"| `{condition}` | " + " | ".join(row.get(way, "") for way in ways) + " |"
        for condition, row in cells.items()
        if any(row.values())
    ]
    return "\n".join(
        [f"{heading}:", "", f"| condition | {' | '.join(ways)} |", f"|---{'|---' * len(ways)}|", *rows, ""]
    )


def fingerprints_of(
    condition: StressCondition, subject: int, matrix: int, basis: TemporalBasis
) -> tuple[Fingerprints, dict[str, Float], Mask]:
    """The fingerprints of a subject with their operator, the true maps, and the mask of soft tissue."""
    settings = condition.data_settings(subject + 1, 1, matrix)
    exam = exam_of(settings, settings.first_seed + subject)
    atoms = WATER_FAT.dictionary(exam.sequence).atoms
    made = full_fingerprints(
        exam, 0, basis, virtual_coils=settings.virtual_coils, demodulation_hz=settings.demodulation_hz,
        correct_delays=True, inversion=echo_times_of(WATER_FAT, exam.sequence, basis, atoms), for_maps=True,
    )  # fmt: skip
    phantom = exam.phantoms[0]
    truth = {name: getattr(phantom, name) for name in WATER_FAT.names}
    bone = np.isin(phantom.label, [i for i, name in enumerate(phantom.label_names) if "bone" in name])
    return made, truth, made.foreground & (phantom.pd > 0) & ~bone


def subject_results(condition: StressCondition, subject: int, matrix: int, threads: int) -> dict[str, dict[str, Any]]:
    """The errors of every way in one subject."""
    basis, of_sequence, check = ways_of(condition.data_settings(1, 1, matrix).sequence, threads)
    fingerprints, truth, soft = fingerprints_of(condition, subject, matrix, basis)
    made: dict[str, tuple[ParameterMaps, float]] = {}
    for way in of_sequence:
        given, before = made[way.after] if way.after else (fingerprints, 0.0)
        begin = perf_counter()
        (maps,) = way.gadget.feed(given)
        made[way.name] = maps, before + perf_counter() - begin
    results = {}
    for name, (message, seconds) in made.items():
        (checked,) = check.feed(message)
        results[name] = found_errors(checked.maps, truth, soft, seconds)
    return results


@lru_cache
def ways_of(sequence_name: str, threads: int) -> tuple[TemporalBasis, list[Way], PhysicsCheck]:
    """The temporal basis of a sequence, the ways to its maps, and what checks them."""
    networks = [TiledNetwork(load_archive(archive_path(name)), "cpu") for name in NETWORKS]
    sequence, contract = load_sequence(sequence_name), networks[0].contract
    fits = contract.sequence.difference(sequence) is None
    basis = contract.basis if fits else compressed_basis(sequence, WATER_FAT.dictionary(sequence).atoms)
    scan = simulated_scan(sequence, threads)
    closed_form = WATER_FAT.closed_form(sequence, basis)
    of_sequence = list(ways(scan, networks if fits else [], closed_form, contract.demodulation_hz))
    return basis, of_sequence, PhysicsCheck(scan, closed_form)


def digest() -> str:
    """The first digits of the SHA-256 of all networks."""
    paths = *map(archive_path, NETWORKS), *(denoiser_path(WATER_FAT.name, *of) for of in DENOISERS)
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small slice, to test that it runs")
    parser.add_argument("--conditions", default=",".join(c.name for c in STRESS))
    parser.add_argument("--subjects", type=int, default=1)
    parser.add_argument("--matrix", type=int, default=350)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--results", type=Path, help="folder that keeps the errors of every subject")
    arguments = parser.parse_args()
    matrix, names = (48, ["default"]) if arguments.quick else (arguments.matrix, arguments.conditions.split(","))
    logging.getLogger("spokestream").setLevel(logging.ERROR)
    console = Console(width=170)
    print_machine(console, arguments.threads, ["numpy", "torch", "finufft"])
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    networks = digest()
    # subject by subject, so that a run that is interrupted has measured every condition
    work = [(condition, subject) for subject in range(arguments.subjects) for condition in chosen(names)]
    for condition, subject in track(work, "slices", console=console, transient=True):
        kept = arguments.results and arguments.results / f"{condition.name}-{subject}-{matrix}-{networks}.json"
        if kept and kept.exists():
            results = json.loads(kept.read_text("utf-8"))
        else:
            results = subject_results(condition, subject, matrix, arguments.threads)
        if kept and not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as draft:
                draft.write_text(json.dumps(results), "utf-8")
        of_condition = found.setdefault(condition.name, {})
        for way, one in results.items():
            of_condition.setdefault(way, []).append(one)
    print(f"\n{arguments.subjects} subjects of one slice in each condition, {matrix} pixels.\n")
    for heading, cells in tables(found):
        if any(any(row.values()) for row in cells.values()):
            print(markdown(heading, cells))


if __name__ == "__main__":
    main()
