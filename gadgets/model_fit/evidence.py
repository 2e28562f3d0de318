"""What the signal of a slice says about its maps, in numbers that mean the same for every sequence.

A network that reads fingerprints knows one sequence. Around the maps that were fitted to them, the closed form says
what is left to know: which step the residuals ask for, and how far the values can be moved before the residuals grow.
Both have the units of the maps, whatever the train, the coils and the noise are.
"""

import torch
from torch import Tensor

from spokestream.gadgets.model_fit.measured_slice import MeasuredSlice
from spokestream.gadgets.model_fit.own_fit import Equations
from spokestream.gadgets.model_fit.remaining_errors import OWN_NOISE

__all__ = ["evidence", "n_features", "unknowns_and_std"]

WEAKEST = 4.0
"""Information, in squared units of the unknowns, that is added to that of a voxel: half a unit is as far as a value
goes that the signal does not determine."""
FARTHEST = 2.0
"""Longest step, in units of the unknowns."""
LEAST_STD, LEAST_RATIO = 1e-4, 1e-3
"""Least standard deviation, and least ratio of energies, of which the logarithm is taken."""


def n_features(n: int) -> int:
    """The number of features of `evidence` for n unknowns."""
    return 4 * n + n * (n - 1) // 2 + 3


def evidence(measured: MeasuredSlice, x: Tensor, std: Tensor) -> Tensor:
    """The features (voxels, `n_features`) of a slice at its maps, each of the order of 1.

    They are: the unknowns, relative to those of usual tissue, and the logarithm of their standard deviations; the step
    that the residuals of single voxels ask for, the logarithm of its standard deviations, and their correlations; the
    logarithms of the signal's power over its mean, of the unexplained energy over that nearby, and of the energy that
    the step would explain.

    Args:
        measured: the slice.
        x: (voxels, n) unknowns.
        std: (voxels, n) their standard deviations.

    """
    at = measured.equations_at(x)
    return features(at, measured.noise_near(at.variance), x, std, measured.scales.usual)


def features(at: Equations, noise: Tensor, x: Tensor, std: Tensor, usual: Tensor) -> Tensor:
    """The features of `evidence`, from the equations at the unknowns and the variance of the noise (voxels,) there.

    Unknowns are relative to those of usual tissue (n,). The logarithm of a relaxation time alone is so large that
    bfloat16, in which networks are trained, has steps of 47 ms of water T1.
    """
    n, own = x.shape[1], (OWN_NOISE * noise).double()
    information = at.fisher.double() / own[:, None, None] + WEAKEST * torch.eye(n)
    covariance = torch.linalg.inv(information)
    step = (covariance @ (at.gradient.double() / own[:, None])[..., None])[..., 0].clamp(-FARTHEST, FARTHEST)
    spread = covariance.diagonal(dim1=1, dim2=2).sqrt()
    correlation = covariance / (spread[:, :, None] * spread[:, None])
    i, j = torch.triu_indices(n, n, 1)
    power, unexplained, explicable = (
        ratio.clamp_min(LEAST_RATIO).log()[:, None]
        for ratio in (at.power / at.power.mean(), at.variance / noise, at.explicable / noise)
    )
    of_step = 4 * step.float(), _logarithm(spread.float()), correlation[:, i, j].float()
    return torch.cat(
        [(x - usual) / 2, _logarithm(std.clamp_max(1)), *of_step, power / 2, unexplained / 2, explicable / 4], 1
    )


def unknowns_and_std(features: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n unknowns, relative to those of usual tissue, and their standard deviations, (s, n, y, x) each.

    TorchScript compiles this function into networks. The features (s, features, y, x) are those of `evidence`, which
    limits standard deviations to those between `LEAST_STD` and 1.
    """
    return 2 * features[:, :n], (2 * (features[:, n : 2 * n] - 1)).exp()


def _logarithm(std: Tensor) -> Tensor:
    return std.clamp_min(LEAST_STD).log() / 2 + 1
