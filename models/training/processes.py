"""The processes that train together: one alone, or those that `torchrun` started, each with a GPU if there are any."""

import os
from typing import Any

import torch
from torch import Tensor, distributed, nn

from spokestream.errors import InputError

__all__ = ["Processes"]


class Processes:
    """Which process among those of `torchrun`; use as a context. Raises InputError for more of them than GPUs."""

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
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """The network, with gradients that are means over all processes."""
        return nn.parallel.DistributedDataParallel(network) if self.size > 1 else network

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes. What is made of it must be the same in all; its slopes suit those of `share`."""
        if self.size == 1:
            return part
        whole: Tensor = _Total.apply(part, self.size)  # type: ignore[no-untyped-call]
        return whole

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


class _Total(torch.autograd.Function):
    """A sum over processes. Its slope is multiplied by their number, by which the mean of all gradients divides."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, size: int) -> Tensor:
        ctx.size = size
        whole = part.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope * ctx.size, None
