"""Mixed precision: products in bfloat16, weights and sums in single precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from spokestream.gadgets.network.device import multiplies_bfloat16

__all__ = ["autocast", "in_bfloat16"]


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A context for forward passes: `float32`, `bfloat16`, or `auto`, which is bfloat16 where that is faster."""
    return torch.autocast(device.type, torch.bfloat16) if in_bfloat16(precision, device) else nullcontext()


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether that is what the precision means on the device."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
