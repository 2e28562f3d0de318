"""How much every temporal frame matters to a network: the change of its errors when the frame is permuted (Fig. 7)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.network.archive import load_archive
from spokestream.gadgets.network.network_input import crop_around, inside, interleaved
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.training.inputs.targets import targets
from spokestream.models.training.validation import predict
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["importance", "parts_of_train"]


def importance(archive: Path, data: TrainingSet, frames: Iterable[int], seed: int) -> dict[str, dict[str, list[float]]]:
    """The normalised root-mean-square errors of every map without and with a permuted frame.

    The values of the frame are exchanged at random between the pixels of the foreground, separately for real and
    imaginary part. The middle slice of every subject is reconstructed. Errors are over the voxels that count in
    training, relative to the range of the slice's targets.

    Args:
        archive: a network whose input is frames.
        data: the subjects and the maps that the errors refer to.
        frames: numbers of the frames to permute.
        seed: of the permutations.

    Returns:
        `whole` and `permuted`: map -> one mean over the subjects, or one for every frame.

    """
    loaded = load_archive(archive)
    names = [output.map for output in loaded.contract.outputs]
    parameters = tuple(parameter for parameter in data.tissue_model.parameters if parameter.name in names)
    slices, wanted = int(data.recipe["slices"]), list(frames)
    rng = np.random.default_rng((seed, 2))
    whole, permuted = [], []
    with torch.inference_mode():
        for subject in range(len(data.seeds)):
            item = data[subject * slices + slices // 2]
            y, x = (foreground := item["foreground"]).shape
            # pixels further from the foreground than the border change nothing there
            rows, columns = inside(crop_around(foreground.numpy(), loaded.contract.border), (y, x))
            channels = loaded.module.normalise(interleaved(item["fingerprints"]), foreground, 1.0)[:, rows, columns]
            value, weight = (of[:, rows, columns] for of in targets(item, data.tissue_model, parameters))
            foreground = foreground[rows, columns]

            def errors(x: Tensor, value: Tensor = value, weight: Tensor = weight) -> list[float]:
                found = predict(loaded.module, x, loaded.contract.border, loaded.contract.step).clamp(0, 1)
                return [_nrmse(*of_map) for of_map in zip(found, value, weight, strict=True)]

            whole.append(errors(channels))
            permuted.append([errors(_permuted(channels, frame, foreground, rng)) for frame in wanted])
    means, means_permuted = np.nanmean(whole, 0), np.nanmean(permuted, 0)
    return {
        "whole": {name: [float(means[number])] for number, name in enumerate(names)},
        "permuted": {name: means_permuted[:, number].tolist() for number, name in enumerate(names)},
    }


def parts_of_train(sequence: PulseSequence) -> list[int]:
    """The first frame of every part of the train with one flip angle and one echo time, and the number of frames."""
    first = np.arange(sequence.n_frames) * sequence.spokes_per_frame
    angle, echo = sequence.flip_angle_deg[first], sequence.te_ms[first]
    changes = np.flatnonzero((np.diff(angle) != 0) | (np.diff(echo) != 0)) + 1
    return [0, *(int(frame) for frame in changes), sequence.n_frames]


def _permuted(channels: Tensor, frame: int, foreground: Tensor, rng: np.random.Generator) -> Tensor:
    changed = channels.clone()
    for channel in (2 * frame, 2 * frame + 1):
        values = channels[channel][foreground]
        changed[channel][foreground] = values[torch.from_numpy(rng.permutation(len(values)))]
    return changed


def _nrmse(found: Tensor, target: Tensor, weight: Tensor) -> float:
    """The error over the range; NaN for a slice that does not show the map."""
    shown = target[weight > 0]
    if not len(shown) or not (span := float(shown.max() - shown.min())):
        return float("nan")
    return float((found[weight > 0] - shown).square().mean().sqrt()) / span
