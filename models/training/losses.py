"""What training makes small: losses on normalised maps, voxels that do not count left out."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "Loss",
    "Total",
    "gaussian_likelihood",
    "mean_squared",
    "relative_difference",
    "root_mean_squared",
    "single_process",
]  # fmt: skip

Total = Callable[[Tensor], Tensor]
"""Sums over all processes that share a batch, differentiably; see `spokestream.models.training.processes`."""

Loss = Callable[[Tensor, Tensor, Tensor, Total], Tensor]
"""(prediction, target, weight, total) to one number, that of the whole batch in every process. The target and its
weights are (n, maps, y, x); so is the prediction, or (n, 2 maps, y, x) where standard deviations follow the maps. A
weight of 0 leaves a voxel out."""

VARIANCE_EXPONENT = 0.5
"""Exponent of the variance in the weights of `gaussian_likelihood`, the value that its authors recommend."""
SMALLEST_REFERENCE = 0.05
"""Of a map's range: below, relative differences are taken relative to this."""


def single_process(part: Tensor) -> Tensor:
    """The total of a process that is alone."""
    return part


def mean_squared(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Squared difference of masked maps, mean over all voxels with the zeros of the mask (Balsiger et al. 2020)."""
    return total(((prediction - target) * weight).square().sum()) / total(weight.new_tensor(weight.numel()))


def root_mean_squared(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Root of the mean squared difference of the voxels that count (Song et al. 2019)."""
    squares = ((prediction - target) * weight).square().sum()
    return (total(squares) / total(weight.sum()).clamp_min(1)).sqrt()


def relative_difference(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Mean of |prediction - target| / |target| (Fang et al. 2019), with a floor for maps that pass through zero."""
    relative = (prediction - target).abs() / target.abs().clamp_min(SMALLEST_REFERENCE)
    return total((relative * weight).sum()) / total(weight.sum()).clamp_min(1)


def gaussian_likelihood(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Negative log likelihood of maps with standard deviations, weighted (Seitzer et al. 2022, eq. 5).

    Without those weights voxels that are hard at first never get a say; with them the maps tend to the mean of what
    is possible, and the standard deviations to the error that is left.
    """
    mean, std = prediction.chunk(2, dim=1)
    likelihood = ((mean - target) / std).square() / 2 + std.log()
    weighted = weight * std.detach().pow(2 * VARIANCE_EXPONENT) * likelihood
    return total(weighted.sum()) / total(torch.count_nonzero(weight)).clamp_min(1)
