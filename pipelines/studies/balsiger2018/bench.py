"""What the steps of the study measure: the errors of T1 and T2 of a subject, by matching and by trained networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spokestream.dask_workers import within_a_task
from spokestream.gadgets.matching.matchers import make_matcher
from spokestream.models.datasets.data_settings import DataSettings
from spokestream.models.datasets.making import make_training_set
from spokestream.models.datasets.shards import TrainingSet, tissue
from spokestream.models.training.loop import train
from spokestream.pipelines.studies.balsiger2018.sizes import MATCHERS, Sizes, training, training_step
from spokestream.pipelines.studies.left_out import Maps, by_matching, by_network, set_without, stacked
from spokestream.pipelines.studies.study import Numbers
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

__all__ = ["TISSUES", "Bench", "tissue_errors"]

SEQUENCE = "fisp-balsiger-720"
WINDOW = 48
NOISE = 0.05
"""Noise of a frame over its mean signal, per real and imaginary part, as in the study of Fang 2019."""
TISSUES = {"WM": ("white matter",), "GM": ("grey matter", "deep grey matter"), "CSF": ("spinal fluid",)}
"""Tissue of Table 1 -> labels of the phantom."""


class Bench:
    """The folder of a run, and what its steps share."""

    def __init__(self, sizes: Sizes, seed: int, threads: int, folder: Path) -> None:
        self.sizes, self.seed, self.threads, self.folder = sizes, seed, threads, folder.absolute()
        self.subjects = range(seed, seed + sizes.subjects)

    def scans(self) -> Numbers:
        """Make the scans of all subjects."""
        sizes = self.sizes
        settings = DataSettings(
            subjects=sizes.subjects, first_seed=self.seed, population="volunteers", anatomies="brain",
            slices=sizes.slices, matrix=sizes.matrix, coils=(sizes.coils, sizes.coils), virtual_coils=sizes.coils,
            noise=(NOISE, NOISE), delays=0.0, inversion_efficiency=(1.0, 1.0), sequence=SEQUENCE, demodulation_hz=0.0,
            path="full", basis="window", window=WINDOW, stride=sizes.stride,
        )  # fmt: skip
        make_training_set(self._whole, settings, None if within_a_task() else "synchronous")
        data = TrainingSet(self._whole)
        voxels = dict.fromkeys(TISSUES, 0)
        for index in range(len(data)):
            for name, where in _tissues(data, index).items():
                voxels[name] += int(where.sum())
        return {"images": len(data.basis.te_ms), "slices": len(data), "voxels": voxels}

    def matching(self) -> Numbers:
        """The errors of all matchers in every subject."""
        whole = TrainingSet(self._whole)
        dictionary = RELAXATION.dictionary(whole.sequence)
        found = {}
        for method, name in MATCHERS.items():
            matcher = make_matcher(name, dictionary, whole.basis)
            of = [self._left_out(fold) for fold in range(self.sizes.subjects)]
            found[method] = [_numbers(data, *by_matching(matcher, data, self.threads)) for data in of]
        return found

    def network(self, network: str, fold: int) -> Numbers:
        """Train a network without the subject of a fold, and its errors in that subject."""
        settings = training(self.sizes, network, self.seed)
        run = self.folder / "networks" / training_step(network, fold)
        subject = self.subjects[fold]
        best = train(run, set_without(self._whole, subject, self.folder / f"without-{subject}"), settings)
        assert best is not None  # this is the first process
        data = self._left_out(fold)
        trained = {"epoch": best.epoch, "validation": best.nrmse, "training_seconds": round(best.seconds, 1)}
        return trained | _numbers(data, *by_network(run, settings, data))

    @property
    def _whole(self) -> Path:
        return self.folder / "scans"

    def _left_out(self, fold: int) -> TrainingSet:
        return TrainingSet(self._whole, [self.subjects[fold]])


def _numbers(data: TrainingSet, slices: Sequence[Maps], seconds: Sequence[float]) -> dict[str, Any]:
    """The errors of a subject and the median time of a slice."""
    where = [_tissues(data, index) for index in range(len(data))]
    true = stacked([{name: data[index][name].numpy() for name in RELAXATION.names} for index in range(len(data))])
    return {"seconds": float(np.median(seconds)), "errors": tissue_errors(stacked(slices), true, stacked(where))}


def _tissues(data: TrainingSet, index: int) -> Maps:
    """Tissue -> mask (y, x) of the voxels of a slice that have one T1 and one T2."""
    item = data[index]
    label, names = data.labels(index)
    pure = (tissue(item) & (item["t1"] > 0)).numpy()
    return {
        short: pure & np.isin(label, [names.index(long) for long in long_names if long in names])
        for short, long_names in TISSUES.items()
    }


def tissue_errors(found: Maps, true: Maps, where: Maps) -> dict[str, dict[str, dict[str, float]]]:
    """Tissue -> map -> mean absolute and root-mean-square error in ms.

    Args:
        found: name -> map of any shape.
        true: the same of the truth.
        where: tissue -> mask of the same shape. A tissue without voxels has no errors.

    """
    errors: dict[str, dict[str, dict[str, float]]] = {}
    for tissue_name, mask in where.items():
        if mask.any():
            wrong = {name: found[name][mask].astype(float) - true[name][mask] for name in true}
            errors[tissue_name] = {
                name: {"mae": float(np.abs(e).mean()), "rmse": float(np.sqrt(np.square(e).mean()))}
                for name, e in wrong.items()
            }
    return errors
