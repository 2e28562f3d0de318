"""A slice of a training set: time and result of the fast method, compared with k-space and the gadgets.

python benchmarks/training_set.py --matrix 350
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
from measure import alternately, print_machine, ratio
from rich.console import Console

from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.fast_fingerprints import TOLERANCE, FastGridding
from spokestream.models.datasets.full_fingerprints import full_fingerprints
from spokestream.models.datasets.making import tissue_box
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.temporal_basis import compressed_basis


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--matrix", type=int, default=350)
    parser.add_argument("--coils", type=int, default=12)
    parser.add_argument("--delays", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    console = Console()
    print_machine(console, 1, ["finufft", "torch"])
    torch.set_num_threads(1)

    settings = DataSettings(matrix=arguments.matrix, slices=1, delays=arguments.delays)
    exam = WhitenedExam(replace(settings.exam(3), coils=arguments.coils, noise=0.0))
    basis = compressed_basis(exam.sequence, build_dictionary(exam.sequence).atoms)
    hz, coils, box = settings.demodulation_hz, settings.virtual_coils, tissue_box(exam.phantoms)
    begin = perf_counter()
    terms = SpokeTerms(
        exam.sequence,
        exam.nominal.time_ms,
        dk=1 / exam.protocol.samples_per_pixel,
        efficiencies=settings.inversion_efficiency,
        most_delay=settings.delays,
        receiver_hz=hz,
        tolerance=TOLERANCE,
    )
    gridding = FastGridding(terms, basis, exam.nominal, matrix=settings.matrix, virtual_coils=coils)
    fast = gridding.fingerprints(exam, 0, box).data[:, *box]
    once = perf_counter() - begin

    def through_k_space():
        return full_fingerprints(exam, 0, basis, virtual_coils=coils, demodulation_hz=hz)

    full = through_k_space().data[:, *box]
    error = np.linalg.norm(fast - full) / np.linalg.norm(full)
    n_terms = sum(len(group.pairs) for group in terms.groups)
    methods = {"fast": lambda: gridding.fingerprints(exam, 0, box), "full": through_k_space}
    seconds = alternately(methods, arguments.rounds, 1)
    console.print(
        f"{arguments.matrix} pixels, {arguments.coils} coils to {coils}, {n_terms} terms, "
        f"without noise: fast {np.median(seconds['fast']):.1f} s a slice (the first {once:.0f} s), "
        f"full {np.median(seconds['full']):.1f} s, ratio {ratio(seconds['full'], seconds['fast']):.1f}; "
        f"they differ by {error:.1e} (relative norm).",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
