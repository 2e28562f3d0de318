"""How well a network does on whole slices of people that it never learnt from."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from spokestream.gadgets.network.channels import interleaved
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.layers import Network
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.inputs.targets import targets
from spokestream.models.training.processes import autocast
from spokestream.models.training.training_settings import TrainingSettings

__all__ = ["overall", "predict", "validate"]


def predict(network: Callable[[Tensor], Tensor], x: Tensor, border: int, step: int) -> Tensor:
    """(planes, y, x) of a whole normalised slice (channels, y, x), as if it lay in nothing.

    Args:
        network: or its archive.
        x: the slice.
        border: that the network eats on every side.
        step: of which its tiles' sides are multiples.

    """
    y, x_size = x.shape[1:]
    bottom, right = -y % step, -x_size % step
    padded = nn.functional.pad(x, (border, border + right, border, border + bottom))
    batch = padded[None].contiguous(memory_format=torch.channels_last)
    planes = network(batch)[0].float()
    return planes[:, :y, :x_size]


def validate(
    network: Network, normalisation: Normalisation, data: TrainingSet, settings: TrainingSettings
) -> dict[str, float]:
    """Normalised root-mean-square error of every map, over the tissue of every subject's middle slice.

    The error of a slice is divided by the range of the slice's true map; returned is the mean over slices. A slice
    whose voxels do not show a map, or all alike, says nothing of it; a map that none shows is left out.

    Raises ValueError where that leaves none.
    """
    errors: dict[str, list[float]] = {m.name: [] for m in settings.ranges}
    network.eval()
    with torch.inference_mode():
        for item in _middle_slices(data):
            x = normalisation(
                interleaved(item["fingerprints"]), item["foreground"], float(item["inversion_efficiency"])
            )
            device = next(network.parameters()).device
            with autocast(settings.precision, device):
                predicted = predict(network, x.to(device), network.border, network.step).cpu()
            for map_, plane, truth, weight in zip(
                settings.ranges, predicted, *targets(item, settings.ranges), strict=False
            ):
                shown = truth[weight > 0]
                if len(shown) and (span := float(shown.max() - shown.min())) > 0:
                    wrong = plane.clamp(0, 1)[weight > 0] - shown
                    errors[map_.name].append(float(wrong.square().mean().sqrt()) / span)
    nrmse = {name: sum(values) / len(values) for name, values in errors.items() if values}
    if not nrmse:
        raise ValueError(f"The validation subjects show none of {', '.join(errors)}, or the same value everywhere.")
    return nrmse


def overall(nrmse: dict[str, float]) -> float:
    """The geometric mean: a tenth less error counts alike in every map.

    Fat T1 spans so little of its range that its normalised error is ten times that of other maps: in an arithmetic
    mean it alone would choose the weights.

    """
    return math.prod(nrmse.values()) ** (1 / len(nrmse))


def _middle_slices(data: TrainingSet) -> Iterator[dict[str, Tensor]]:
    slices = int(data.recipe["slices"])
    for subject in range(len(data.seeds)):
        yield data[subject * slices + slices // 2]
