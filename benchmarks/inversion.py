"""How well the efficiency of an inversion is found from a slice: python benchmarks/inversion.py FOLDER [--with WHAT].

FOLDER is filled by `spokestream dataset`; the middle slice of every subject is taken. First maps come from matching, or
from a network archive, which must not have learnt from these subjects. Matching believes that the inversion is perfect,
so that its maps are wrong by what the efficiency does; the estimate does not depend on that, to first order.
"""

# isort: split
import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.model_fit.inversion import inversion_efficiency
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.evaluation.reconstructors import MATCHING, reconstructor
from spokestream.simulator.physics.dictionaries.water_fat import build_dictionary
from spokestream.simulator.physics.tissue_models.water_fat import WaterFatSignal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--with", default=MATCHING, dest="what", help="matching, or an archive")
    parser.add_argument("--quick", action="store_true", help="two subjects, to see that it runs")
    arguments = parser.parse_args()
    data, way = TrainingSet(arguments.folder), reconstructor(arguments.what)
    if known := sorted(way.learnt.intersection(data.seeds)):
        parser.error(f"{way.name} has learnt from subject {known[0]}")
    gadget = way.make(build_dictionary(data.sequence))
    header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
    gadget.start(ScanContext(header, data.sequence, torch.get_num_threads(), logging.Logger("quiet", logging.ERROR)))
    closed_form, slices = WaterFatSignal(data.sequence, data.basis), int(data.recipe["slices"])

    table = Table(title=f"Efficiency of the inversion, first maps by {way.name}")
    for column in ("subject", "true", "estimated", "error"):
        table.add_column(column, justify="right")
    errors = []
    for subject, seed in enumerate(data.seeds[: 2 if arguments.quick else None]):
        item = {name: tensor.numpy() for name, tensor in data[subject * slices + slices // 2].items()}
        images, foreground, true = item["fingerprints"], item["foreground"], float(item["inversion_efficiency"])
        (made,) = gadget.feed(Fingerprints(images, data.basis, foreground, 0, NOWHERE))
        estimated = made.inversion_efficiency
        if estimated is None:
            estimated = inversion_efficiency(images, data.basis, made.maps, foreground, closed_form)
        errors.append(estimated - true)
        table.add_row(str(seed), f"{true:.4f}", f"{estimated:.4f}", f"{errors[-1]:+.4f}")
    console = Console()
    console.print(table)
    console.print(f"mean {np.mean(errors):+.4f}, standard deviation {np.std(errors):.4f}", highlight=False)


if __name__ == "__main__":
    main()
