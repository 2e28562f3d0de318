"""The processes that train together, and their arithmetic: one process, or those that `torchrun` started."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn

from spokestream.errors import InputError
from spokestream.gadgets.network.device import multiplies_bfloat16

__all__ = ["Processes", "autocast", "in_bfloat16"]


class Processes:
    """The place of this process among those of `torchrun`, with its own GPU if there are any; use as a context.

    Raises InputError if there are more processes than GPUs.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if local >= gpus:
                raise InputError(f"Each process takes a GPU of its own: there can be {gpus} here, not {local + 1}.")
            self.device = torch.device("cuda", local)

    def __enter__(self) -> "Processes":
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(self.device)
        if self.size > 1:
            distributed.init_process_group("nccl" if on_gpu else "gloo", device_id=self.device if on_gpu else None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.size > 1:
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is the first process, which writes files and reports."""
        return self.rank == 0

    def distribute(self, network: nn.Module) -> nn.Module:
        """The network, with gradients that are averaged over all processes."""
        return nn.parallel.DistributedDataParallel(network) if self.size > 1 else network

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes, differentiable. All processes must compute the same loss from it."""
        if self.size == 1:
            return part
        whole: Tensor = _Total.apply(part, self.size)  # type: ignore[no-untyped-call]
        return whole

    @property
    def feeders(self) -> int:
        """Threads that make batches for this process: its part of the cores where a GPU trains, otherwise none."""
        return max(1, (os.cpu_count() or 1) // self.size) if self.device.type == "cuda" else 0

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.size > 1:
            distributed.barrier()


class _Total(torch.autograd.Function):
    """A sum over processes. The gradient is multiplied by the number of processes, because DDP averages gradients."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, size: int) -> Tensor:
        ctx.size = size
        whole = part.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.size, None


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A context for forward passes in mixed precision: products in bfloat16, weights and sums in single precision.

    Args:
        precision: `float32`, `bfloat16`, or `auto`, which is bfloat16 where the device multiplies it faster.
        device: where the network is.

    """
    return torch.autocast(device.type, torch.bfloat16) if in_bfloat16(precision, device) else nullcontext()


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether products are computed in bfloat16 with this precision on this device."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
