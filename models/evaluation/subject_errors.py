"""The errors of every subject, one by one, as a table for statistics software."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spokestream.gadgets.messages import Mask
from spokestream.models.evaluation.metrics import Moments
from spokestream.models.evaluation.scores import Maps
from spokestream.simulator.physics.quantities import masked
from spokestream.simulator.physics.tissue_models.tissue_model import TissueModel

__all__ = ["HEAD", "WHOLE", "SubjectError", "subject_errors", "write_subject_errors"]

HEAD = ("set", "subject", "method", "map", "unit", "tissue", "voxels", "bias (unit)", "rmse (unit)")
WHOLE = "all"
"""The tissue of rows over all voxels of a subject in which the map has a meaning."""


@dataclass(frozen=True)
class SubjectError:
    """The error of one map of one subject against the truth, over the voxels of one tissue."""

    subject: int
    method: str
    map: str
    unit: str
    """"1" is dimensionless."""
    tissue: str
    error: Moments


def subject_errors(
    subject: int, method: str, model: TissueModel, maps: Maps, truth: Maps, tissues: Mapping[str, Mask]
) -> Iterator[SubjectError]:
    """The errors of all maps in all tissues; a tissue in which a map has no meaning has none.

    Args:
        subject: the number of the subject.
        method: the name of the reconstructor.
        model: the tissue model whose parameters are compared.
        maps: name -> (slices, y, x).
        truth: the same of the truth.
        tissues: the masks (slices, y, x) by name of the tissue; `WHOLE` is one of them.

    """
    for parameter in model.parameters:
        if parameter.name not in maps:
            continue
        error = maps[parameter.name] - truth[parameter.name]
        for tissue, mask in tissues.items():
            present = masked(model.presence(parameter.pool), mask, truth)
            judged = np.asarray(masked(parameter.quantity.where, present, truth))
            if judged.any():
                moments = Moments.of(error[judged])
                yield SubjectError(subject, method, parameter.name, parameter.quantity.unit, tissue, moments)


def write_subject_errors(path: Path, sets: Mapping[str, Iterable[SubjectError]]) -> None:
    """Write one row for each error of each set, as comma-separated values with the heads `HEAD`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for name, errors in sets.items():
            writer.writerows(
                [
                    name,
                    e.subject,
                    e.method,
                    e.map,
                    e.unit,
                    e.tissue,
                    e.error.n,
                    f"{e.error.bias:.6g}",
                    f"{e.error.rmse:.6g}",
                ]
                for e in errors
            )
