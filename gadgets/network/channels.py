"""Complex images as the channels of a network: real numbers, interleaved."""

from torch import Tensor, view_as_real

__all__ = ["interleaved"]


def interleaved(images: Tensor) -> Tensor:
    """(K, y, x) complex to (2K, y, x): channel 2k is the real part of image k, 2k + 1 its imaginary part."""
    return view_as_real(images).movedim(-1, 1).flatten(0, 1).contiguous()
