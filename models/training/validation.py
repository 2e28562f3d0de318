"""How well a network does on whole slices of subjects that it was not trained on."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from spokestream.errors import InputError
from spokestream.gadgets.network.network_input import interleaved
from spokestream.models.datasets.atoms import AtomSet
from spokestream.models.datasets.shards import TrainingSet
from spokestream.models.networks.layers import Network
from spokestream.models.training.inputs.normalisation import Normalisation
from spokestream.models.training.inputs.targets import targets
from spokestream.models.training.processes import autocast
from spokestream.models.training.recipes import recipe, trained_parameters
from spokestream.models.training.training_settings import TrainingSettings

__all__ = ["overall", "predict", "validate"]


def predict(network: Callable[[Tensor], Tensor], x: Tensor, border: int, step: int) -> Tensor:
    """Outputs (planes, y, x) for a whole normalised slice (channels, y, x), which is padded with zeros.

    Args:
        network: the network, or its archive.
        x: the slice.
        border: pixels that the network crops on every side.
        step: sides of its tiles are multiples of so many pixels.

    """
    y, x_size = x.shape[1:]
    bottom, right = -y % step, -x_size % step
    padded = nn.functional.pad(x, (border, border + right, border, border + bottom))
    batch = padded[None].contiguous(memory_format=torch.channels_last)
    planes = network(batch)[0].float()
    return planes[:, :y, :x_size]


def validate(
    network: Network, normalisation: Normalisation, data: TrainingSet | AtomSet, settings: TrainingSettings
) -> dict[str, float]:
    """Normalised root-mean-square error of every map, over the tissue of every subject's middle slice.

    The error of a slice is divided by the range of the slice's true map, and averaged over slices. A slice in which no
    voxel counts for a map, or all have the same value, is left out for that map; so is a map without any slice.

    Raises InputError where that leaves none.
    """
    parameters = trained_parameters(settings, data.tissue_model)
    conditioned = recipe(settings, data.tissue_model).conditioned
    errors: dict[str, list[float]] = {parameter.name: [] for parameter in parameters}
    network.eval()
    with torch.inference_mode():
        for item in _middle_slices(data):
            efficiency = float(item["inversion_efficiency"]) if conditioned else 1.0
            x = normalisation(interleaved(item["fingerprints"]), item["foreground"], efficiency)
            device = next(network.parameters()).device
            with autocast(settings.precision, device):
                predicted = predict(network, x.to(device), network.border, network.step).cpu()
            for parameter, plane, truth, weight in zip(
                parameters, predicted, *targets(item, data.tissue_model, parameters), strict=False
            ):
                shown = truth[weight > 0]
                if len(shown) and (span := float(shown.max() - shown.min())) > 0:
                    wrong = plane.clamp(0, 1)[weight > 0] - shown
                    errors[parameter.name].append(float(wrong.square().mean().sqrt()) / span)
    nrmse = {name: sum(values) / len(values) for name, values in errors.items() if values}
    if not nrmse:
        raise InputError(f"The validation subjects show none of {', '.join(errors)}, or the same value everywhere.")
    return nrmse


def overall(nrmse: dict[str, float]) -> float:
    """The geometric mean of the maps' errors, in which ten percent less error counts the same in every map.

    A map that spans little of its range, as fat T1 does, has a normalised error ten times that of other maps: in an
    arithmetic mean it alone would choose the weights.
    """
    return math.prod(nrmse.values()) ** (1 / len(nrmse))


def _middle_slices(data: TrainingSet | AtomSet) -> Iterator[dict[str, Tensor]]:
    slices = int(data.recipe["slices"])
    for subject in range(len(data) // slices):
        yield data[subject * slices + slices // 2]
