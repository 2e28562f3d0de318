"""What networks learn: true maps as the networks give them, and which voxels count."""

import torch
from torch import Tensor

from spokestream.models.datasets.shards import tissue
from spokestream.models.training.map_ranges import ABSENT, MapRange

__all__ = ["targets"]


def targets(item: dict[str, Tensor], maps: tuple[MapRange, ...]) -> tuple[Tensor, Tensor]:
    """Normalised true maps and how much every voxel counts, both (maps, y, x) float32, from a training item.

    Air, voxels without a map's pool, and values that are beyond the map's range and clipped to it weigh 0.
    """
    foreground = tissue(item)
    share = {"": torch.ones_like(item["ff"]), "water": 1 - item["ff"], "fat": item["ff"]}
    values, weights = [], []
    for map_ in maps:
        value = (item[map_.name] - map_.low) / (map_.high - map_.low)
        counts = foreground & (share[map_.pool] >= ABSENT) & (value >= 0) & (value <= 1)
        values.append(value.clamp(0, 1))
        weights.append(share[map_.pool] * counts)
    return torch.stack(values), torch.stack(weights)
