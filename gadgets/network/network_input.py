"""The input of a network: the normalised channels of the part of a slice that it needs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, view_as_real
from torch.nn.functional import pad

__all__ = ["Crop", "crop_around", "inside", "interleaved", "normalised_crop", "padding"]

Crop = tuple[slice, slice]
"""Rows and columns of a part of a slice. A crop may extend beyond the slice on every side."""


def interleaved(images: Tensor) -> Tensor:
    """Complex images (K, y, x) as channels (2K, y, x): 2k is the real part of image k, 2k + 1 its imaginary part."""
    return view_as_real(images).movedim(-1, 1).flatten(0, 1).contiguous()


def crop_around(pixels: NDArray[np.bool_], margin: int) -> Crop:
    """The smallest crop with all pixels of a mask (y, x) and a margin around them; the mask must not be empty."""
    hit = [np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(i[0]) - margin, int(i[-1]) + 1 + margin) for i in hit)
    return rows, columns


def inside(crop: Crop, shape: tuple[int, int]) -> Crop:
    """The part of a crop inside a slice of the shape (y, x)."""
    rows, columns = (slice(max(side.start, 0), min(side.stop, n)) for side, n in zip(crop, shape, strict=True))
    return rows, columns


def padding(crop: Crop, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The extent of a crop beyond the slice: left, right, above, below, in the order of `torch.nn.functional.pad`."""
    (above, below), (left, right) = (
        (i.start - side.start, side.stop - i.stop) for i, side in zip(inside(crop, shape), crop, strict=True)
    )
    return left, right, above, below


def normalised_crop(
    normalise: Callable[[Tensor, Tensor, float], Tensor],
    coefficients: Tensor,
    foreground: Tensor,
    efficiency: float,
    crop: Crop,
) -> Tensor:
    """The crop of a normalised slice, with zeros outside the slice.

    Args:
        normalise: the network's normalisation; see `save_archive`.
        coefficients: (K, y, x) of the slice, complex.
        foreground: (y, x) mask of tissue, which must be inside the crop.
        efficiency: inversion efficiency.
        crop: rows and columns.

    """
    y, x = foreground.shape
    part = inside(crop, (y, x))
    channels = normalise(interleaved(coefficients[:, *part]), foreground[part], efficiency)
    return pad(channels, padding(crop, (y, x)))
