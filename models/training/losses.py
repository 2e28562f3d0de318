"""The losses of training, on normalised maps; voxels with weight 0 are left out."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "Loss",
    "Total",
    "absolute_difference",
    "gaussian_likelihood",
    "mean_squared",
    "relative_difference",
    "root_mean_squared",
    "single_process",
]  # fmt: skip

Total = Callable[[Tensor], Tensor]
"""Sums over all processes that share a batch, differentiably; see `spokestream.models.training.processes`."""

Loss = Callable[[Tensor, Tensor, Tensor, Total], Tensor]
"""(prediction, target, weight, total) to one number, the loss of the whole batch, equal in all processes. The target
and its weights are (n, maps, y, x); so is the prediction, or (n, 2 maps, y, x) if standard deviations follow the maps.
A weight of 0 leaves a voxel out."""

VARIANCE_EXPONENT = 0.5
"""Exponent of the variance in the weights of `gaussian_likelihood`, as its authors recommend."""
SMALLEST_REFERENCE = 0.05
"""Smallest reference of relative differences, relative to the range of a map."""


def single_process(part: Tensor) -> Tensor:
    """The total over all processes when there is only one."""
    return part


def mean_squared(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Mean squared difference of masked maps over all voxels, also outside the mask (Balsiger et al. 2020)."""
    return total(((prediction - target) * weight).square().sum()) / total(weight.new_tensor(weight.numel()))


def root_mean_squared(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Root of the mean squared difference over voxels, weighted (Song et al. 2019)."""
    squares = ((prediction - target) * weight).square().sum()
    return (total(squares) / total(weight.sum()).clamp_min(1)).sqrt()


def relative_difference(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Weighted mean of |prediction - target| / |target| (Fang et al. 2019), with a floor because maps can be zero."""
    relative = (prediction - target).abs() / target.abs().clamp_min(SMALLEST_REFERENCE)
    return total((relative * weight).sum()) / total(weight.sum()).clamp_min(1)


def absolute_difference(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Weighted mean of |prediction - target|.

    On a logarithmic scale this is, for small differences, the relative difference of the maps themselves, over the
    logarithm of the range.
    """
    return total(((prediction - target).abs() * weight).sum()) / total(weight.sum()).clamp_min(1)


def gaussian_likelihood(prediction: Tensor, target: Tensor, weight: Tensor, total: Total = single_process) -> Tensor:
    """Negative log likelihood of maps with standard deviations, weighted (Seitzer et al. 2022, eq. 5).

    The weights are a power of the predicted variance. Without them, voxels with large initial errors would hardly
    contribute. With them, the maps converge to the mean of the possible values, and the standard deviations to the
    remaining error.
    """
    mean, std = prediction.chunk(2, dim=1)
    likelihood = ((mean - target) / std).square() / 2 + std.log()
    weighted = weight * std.detach().pow(2 * VARIANCE_EXPONENT) * likelihood
    return total(weighted.sum()) / total(torch.count_nonzero(weight)).clamp_min(1)
