"""What networks are trained to give: true maps on the scale of the networks, and the weight of every voxel."""

import torch
from torch import Tensor

from spokestream.models.datasets.shards import tissue
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = ["targets"]

WEIGHTED_MS = {"t1": 1000.0}
"""Parameter -> the value in ms at which an error has weight 1, if weights grow with the value. On a logarithmic scale
an error of 2 % counts the same everywhere, but it is 16 ms of T1 in white matter and 76 ms in spinal fluid."""


def targets(
    item: dict[str, Tensor], model: TissueModel, parameters: tuple[Parameter, ...], *, by_value: bool = False
) -> tuple[Tensor, Tensor]:
    """Normalised true maps and the weight of every voxel, both (maps, y, x) float32, from a training item.

    A voxel is weighted by its fraction of the pool whose property the map is. Background, voxels without the pool, and
    values beyond the range, which are clipped to it, have weight 0.

    Args:
        item: a slice of a training set.
        model: the tissue model of the set.
        parameters: those of its parameters that the network is trained on.
        by_value: whether weights grow with the value, for the parameters of `WEIGHTED_MS`.

    """
    foreground = tissue(item)
    fractions = model.pool_fractions(item)
    values, weights = [], []
    for parameter in parameters:
        value = parameter.scale.to_unit(item[parameter.name])
        fraction = fractions[parameter.pool]
        counts = foreground & (fraction >= model.least_fraction) & (value >= 0) & (value <= 1)
        values.append(value.clamp(0, 1))
        weight = fraction * counts
        if by_value and parameter.name in WEIGHTED_MS:
            weight = weight * (item[parameter.name] / WEIGHTED_MS[parameter.name])
        weights.append(weight)
    return torch.stack(values), torch.stack(weights)
