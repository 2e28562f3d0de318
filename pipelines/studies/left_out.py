"""The subject that is left out: a training set without it, and its maps by matching and by a trained network."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spokestream.gadgets.dictionary_matching import parameter_maps
from spokestream.gadgets.matching.matchers import Matcher, match_slice
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.shards import TrainingSet, shard_path
from spokestream.models.training.checkpoint import read_best
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.processes import autocast
from spokestream.models.training.recipes import recipe, trained_parameters
from spokestream.models.training.training_settings import TrainingSettings
from spokestream.models.training.validation import predict
from spokestream.simulator.physics.tissue_models.relaxation import RELAXATION

__all__ = ["Maps", "by_matching", "by_network", "set_without", "stacked"]

Maps = dict[str, NDArray[Any]]
"""Name -> (y, x) or (slices, y, x)."""


def set_without(whole: Path, subject: int, folder: Path) -> Path:
    """Make a folder with the training set without one subject, and return it; it refers to the files of the whole."""
    folder.mkdir(exist_ok=True)
    kept = [shard_path(whole, other).name for other in TrainingSet(whole).seeds if other != subject]
    for name in ("training_set.json", "basis.h5", *kept):
        with suppress(FileExistsError):  # another step may make the same folder at the same time
            (folder / name).symlink_to(whole / name)
    return folder


def by_matching(matcher: Matcher, data: TrainingSet, threads: int) -> tuple[list[Maps], list[float]]:
    """T1 and T2 of all slices by a matcher, in ms, and the seconds of every slice."""
    slices, seconds = [], []
    for index in range(len(data)):
        item = data[index]
        mask = item["foreground"].numpy()
        begin = perf_counter()
        y = item["fingerprints"][:, item["foreground"]].T.contiguous()
        maps = parameter_maps(match_slice(matcher, y, mask, threads), matcher.dictionary, mask)
        seconds.append(perf_counter() - begin)
        slices.append({name: maps[name] for name in RELAXATION.names})
    return slices, seconds


def by_network(run: Path, settings: TrainingSettings, data: TrainingSet) -> tuple[list[Maps], list[float]]:
    """The maps of all slices by the best weights of a run, and the seconds of every slice."""
    parameters = trained_parameters(settings, RELAXATION)
    method = recipe(settings, RELAXATION)
    normalisation = _normalisation(method.normalisation, data.folder)  # type: ignore[arg-type]
    network = method.build(normalisation.n_images, len(parameters))
    network.load_state_dict(read_best(run).weights)
    network.eval()
    slices, seconds = [], []
    for index in range(len(data)):
        item = data[index]
        begin = perf_counter()
        with torch.inference_mode(), autocast(settings.precision, torch.device("cpu")):
            x = normalisation(interleaved(item["fingerprints"]), item["foreground"], 1.0)
            planes = predict(network, x, network.border, network.step).clamp(0, 1).numpy()
        seconds.append(perf_counter() - begin)
        slices.append({p.name: p.scale.from_unit(plane) for p, plane in zip(parameters, planes, strict=True)})
    return slices, seconds


def stacked(slices: Sequence[Mapping[str, NDArray[Any]]]) -> Maps:
    """The maps (slices, y, x) of slices that have maps (y, x)."""
    return {name: np.stack([maps[name] for maps in slices]) for name in slices[0]}


@cache
def _normalisation(kind: type[Normalisation], folder: Path) -> Normalisation:
    """The normalisation for the scans in a folder; it is kept, because it is fitted to a dictionary."""
    data = TrainingSet(folder, ())
    return kind.of(data.basis, data.sequence)
