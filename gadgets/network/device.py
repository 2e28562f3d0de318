"""The device on which networks compute, and their precision.

The functions import torch themselves: the command line uses the names in this file, and its help must not load torch.
"""

from typing import TYPE_CHECKING

from spokestream.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICES", "PRECISIONS", "choose_device", "choose_precision", "multiplies_bfloat16", "repeat_exactly"]

DEVICES = ("auto", "cpu", "cuda")
"""Names of devices; `auto` is CUDA if there is a CUDA device, otherwise the CPU."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""Names of precisions; `auto` is half precision on CUDA, bfloat16 on processors with instructions for it, and single
precision on others."""


def choose_device(name: str) -> "torch.device":
    """The device with a name, one of `DEVICES`. Raises InputError if the machine does not have it."""
    import torch

    if name not in DEVICES:
        raise InputError(f"A device is one of {', '.join(DEVICES)}, not '{name[:20]}'.")
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise InputError("This machine has no CUDA device that torch can use; the device is cpu or auto.")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def choose_precision(name: str, device: "torch.device") -> "torch.dtype":
    """The number type with a name, one of `PRECISIONS`. Raises InputError for another name."""
    import torch

    if name not in PRECISIONS:
        raise InputError(f"A precision is one of {', '.join(PRECISIONS)}, not '{name[:20]}'.")
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


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
