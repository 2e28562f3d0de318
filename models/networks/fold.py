"""Batch normalisation of a trained network is a scale and a shift, which neighbouring convolutions can absorb."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from spokestream.models.networks.layers import Network

__all__ = ["Affine", "absorb", "affine", "fold_batch_norm"]

Affine = tuple[Tensor, Tensor]
"""The scale and the shift of every channel, (channels,) each: x becomes scale * x + shift."""

SomeNetwork = TypeVar("SomeNetwork", bound=Network)


def fold_batch_norm(network: SomeNetwork) -> SomeNetwork:
    """A copy for evaluation without batch normalisation, whose outputs equal the network's up to rounding."""
    folded = deepcopy(network).eval()
    with torch.no_grad():
        folded.fold()
    return folded


def affine(norm: nn.BatchNorm2d) -> Affine:
    """The scale and shift that a trained normalisation applies to its channels."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def absorb(conv: nn.Conv2d, before: Affine) -> None:
    """Change a convolution in place so that its output for x is the former output for scale * x + shift.

    This is exact for convolutions without padding: padded values would have to be shifted, too.
    """
    scale, shift = before
    assert conv.bias is not None
    conv.bias += conv.weight.sum((2, 3)) @ shift
    conv.weight *= scale[:, None, None]
