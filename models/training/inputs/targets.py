"""What networks are trained to give: true maps on the scale of the networks, and the weight of every voxel."""

import torch
from torch import Tensor

from spokestream.models.datasets.shards import tissue
from spokestream.simulator.physics.tissue_models.tissue_model import Parameter, TissueModel

__all__ = ["targets"]


def targets(item: dict[str, Tensor], model: TissueModel, parameters: tuple[Parameter, ...]) -> tuple[Tensor, Tensor]:
    """Normalised true maps and the weight of every voxel, both (maps, y, x) float32, from a training item.

    A voxel is weighted by its fraction of the pool whose property the map is. Background, voxels without the pool, and
    values beyond the range, which are clipped to it, have weight 0.

    Args:
        item: a slice of a training set.
        model: the tissue model of the set.
        parameters: those of its parameters that the network is trained on.

    """
    foreground = tissue(item)
    fractions = model.pool_fractions(item)
    values, weights = [], []
    for parameter in parameters:
        value = parameter.scale.to_unit(item[parameter.name])
        fraction = fractions[parameter.pool]
        counts = foreground & (fraction >= model.least_fraction) & (value >= 0) & (value <= 1)
        values.append(value.clamp(0, 1))
        weights.append(fraction * counts)
    return torch.stack(values), torch.stack(weights)
