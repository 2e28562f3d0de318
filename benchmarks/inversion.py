"""The accuracy of the inversion efficiency estimated from a slice: python benchmarks/inversion.py FOLDER [--with WHAT].

FOLDER is a set of `spokestream dataset`; the middle slice of every subject is used. The preliminary maps come from
matching, or from a network that was not trained on these subjects. Matching assumes a perfect inversion, so that its
maps have errors that depend on the efficiency. To first order, the estimate does not depend on these errors.
"""

import spokestream  # noqa: F401  first of all, because it sets how the threads of OpenMP wait

# isort: split
import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spokestream.gadgets.model_fit.inversion import inversion_efficiency
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.scan.header import ScanHeader
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.evaluation.reconstructors import MATCHING, reconstructor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--with", default=MATCHING, dest="what", help="matching, or an archive")
    parser.add_argument("--quick", action="store_true", help="two subjects, to test that it runs")
    arguments = parser.parse_args()
    data, method = TrainingSet(arguments.folder), reconstructor(arguments.what)
    if trained := sorted(method.trained_on.intersection(data.seeds)):
        parser.error(f"{method.name} was trained on subject {trained[0]}")
    header = ScanHeader("", (1, 1, 1), (1.0, 1.0, 1.0), (1, 1, 1), (1.0, 1.0, 1.0))
    quiet = logging.Logger("quiet", logging.ERROR)
    scan = ScanContext(header, data.sequence, torch.get_num_threads(), quiet)
    model = data.tissue_model
    gadget = method.make(scan, model, model.dictionary(data.sequence))
    closed_form, slices = model.closed_form(data.sequence, data.basis), int(data.recipe["slices"])

    table = Table(title=f"Inversion efficiency, preliminary maps by {method.name}")
    for column in ("subject", "true", "estimated", "error"):
        table.add_column(column, justify="right")
    errors = []
    for subject, seed in enumerate(data.seeds[: 2 if arguments.quick else None]):
        index = subject * slices + slices // 2
        message, true = data.message(index), float(data[index]["inversion_efficiency"])
        (made,) = gadget.feed(message)
        estimated = made.inversion_efficiency
        if estimated is None:
            estimated = inversion_efficiency(message.data, data.basis, made.maps, message.foreground, closed_form)
        errors.append(estimated - true)
        table.add_row(str(seed), f"{true:.4f}", f"{estimated:.4f}", f"{errors[-1]:+.4f}")
    console = Console()
    console.print(table)
    console.print(f"mean {np.mean(errors):+.4f}, standard deviation {np.std(errors):.4f}", highlight=False)


if __name__ == "__main__":
    main()
