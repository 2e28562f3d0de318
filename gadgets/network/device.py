"""The device that a network runs on, and the numbers that suit it."""

import torch

from spokestream.gadgets.network.arithmetic import DEVICES, PRECISIONS

__all__ = ["choose_device", "choose_precision", "multiplies_bfloat16", "repeat_exactly"]


def choose_device(name: str) -> torch.device:
    """The device of that name, one of `DEVICES`. Raises ValueError where it is not there."""
    if name not in DEVICES:
        raise ValueError(f"A device is one of {', '.join(DEVICES)}, not '{name[:20]}'.")
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ValueError("This machine has no CUDA device that torch can use; the device is cpu or auto.")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The number type of that name, one of `PRECISIONS`. Raises ValueError for another name."""
    if name not in PRECISIONS:
        raise ValueError(f"A precision is one of {', '.join(PRECISIONS)}, not '{name[:20]}'.")
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; elsewhere it is slower than single precision."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def repeat_exactly() -> None:
    """From now on CUDA convolves alike every time, and single precision is single precision.

    It holds for the process, as torch has it no other way: what one thread set for a while, another would end early.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
