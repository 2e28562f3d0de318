"""The device on which networks compute, and their precision.

The functions import torch themselves: the command line uses the names in this file, and its help must not load torch.
"""

from collections.abc import Callable, Mapping
from time import process_time
from typing import TYPE_CHECKING

from spokestream.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "choose_device",
    "fastest",
    "multiplies_bfloat16",
    "possible_precisions",
    "repeat_exactly",
]

DEVICES = ("auto", "cpu", "cuda")
"""Names of devices; `auto` is CUDA if there is a CUDA device, otherwise the CPU."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""Names of precisions; `auto` is half precision on CUDA. On processors with instructions for bfloat16 it is what is
faster for the network, bfloat16 or single precision, and single precision on others."""
LEAST_GAIN = 1.2
"""How many times faster than single precision bfloat16 must be to be chosen, so that the same machine chooses the same
again. With the networks of this software the factor is 2.0 to 2.5 on an AMD EPYC with these instructions; an Intel Xeon
was seen where it is 0.7."""
ROUNDS = 3


def choose_device(name: str) -> "torch.device":
    """The device with a name, one of `DEVICES`. Raises InputError if the machine does not have it."""
    import torch

    if name not in DEVICES:
        raise InputError(f"A device is one of {', '.join(DEVICES)}, not '{name[:20]}'.")
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise InputError("This machine has no CUDA device that torch can use; the device is cpu or auto.")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def possible_precisions(name: str, device: "torch.device") -> "tuple[torch.dtype, ...]":
    """The number types among which `fastest` chooses, for a name of `PRECISIONS`. Raises InputError for others."""
    import torch

    if name not in PRECISIONS:
        raise InputError(f"A precision is one of {', '.join(PRECISIONS)}, not '{name[:20]}'.")
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return (chosen,)
    if device.type == "cuda":
        return (torch.float16,)
    return (torch.float32, torch.bfloat16) if multiplies_bfloat16(device) else (torch.float32,)


def fastest(
    runs: "Mapping[torch.dtype, Callable[[], object]]", clock: Callable[[], float] = process_time
) -> "torch.dtype":
    """The precision whose run is the fastest by a factor of `LEAST_GAIN` over the first one, or else the first one.

    Every run is warmed up, then all are timed in turn, and the shortest time of each counts.

    Args:
        runs: a function for each precision; a single one is not called.
        clock: gives the time in seconds; by default that of the processor, which other programs do not change.

    """
    first, *others = runs
    if not others:
        return first
    seconds = {precision: float("inf") for precision in runs}
    for number in range(1 + ROUNDS):
        for precision, run in runs.items():
            begin = clock()
            run()
            if number:
                seconds[precision] = min(seconds[precision], clock() - begin)
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[best] * LEAST_GAIN < seconds[first] else first


def multiplies_bfloat16(device: "torch.device") -> bool:
    """Whether the device has instructions for bfloat16. On other devices it is slower than single precision."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def repeat_exactly() -> None:
    """Make CUDA convolutions deterministic, and compute them in full single precision (no TF32).

    This applies to the whole process and for all its time, because torch has no settings for single threads.
    """
    import torch

    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
