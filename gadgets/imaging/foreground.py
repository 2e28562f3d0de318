"""The foreground: pixels of tissue whose signal is strong enough for maps."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import interpolate

__all__ = ["foreground"]

OF_TISSUE = 0.3
"""Least signal of the foreground, relative to that of the tissue around: the coils' shading varies several-fold over
the body, and cortical bone is dark next to muscle."""
OF_BRIGHTEST = 0.08
"""Signal, relative to the brightest pixels, above which a pixel is certainly tissue. Such pixels determine how bright
tissue is in their neighbourhood."""

FINENESS = 5
"""Least width of a Gaussian in the pixels in which it is computed."""


def foreground(images: NDArray[np.complex64], components: int = 2) -> NDArray[np.bool_]:
    """The mask of pixels whose signal stands out from aliasing and noise, without single-pixel specks and gaps.

    The signal is the energy in the leading temporal components of the slice itself. Aliasing and noise contribute
    little to them, because they are spread over all components.

    Args:
        images: (K, y, x) coefficients or frames.
        components: number of leading components that are taken as signal.

    Returns:
        The mask (y, x).

    """
    flat = torch.from_numpy(images).flatten(1)
    _, vectors = torch.linalg.eigh(flat @ flat.mH)  # numpy's takes seconds if OpenBLAS has to share its cores
    leading = torch.view_as_real(vectors[:, -components:].mH @ flat)
    signal = leading.square().sum((0, -1)).sqrt().reshape(images.shape[1:]).numpy()
    tissue = signal > OF_BRIGHTEST * np.percentile(signal, 99)
    density, brightness = _smooth(np.stack((tissue, signal * tissue)), max(images.shape[1:]) / 15)
    mask = (signal * np.maximum(density, 1e-6) > OF_TISSUE * brightness) & (density > 0.01)
    cross = ndimage.generate_binary_structure(2, 1)
    # tissue that the edge of the field of view cuts goes on beyond it; else closing would remove the pixels at the edge
    mask = np.pad(mask, 2, mode="edge")
    return np.asarray(ndimage.binary_closing(ndimage.binary_opening(mask, cross), cross)[2:-2, 2:-2])


def _smooth(images: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """The images (n, y, x), smoothed by a Gaussian of this width in pixels; in coarser ones, which takes less time."""
    coarser = max(1, int(width / FINENESS))
    y, x = images.shape[1:]
    coarse = interpolate(torch.from_numpy(images)[None], (-(-y // coarser), -(-x // coarser)), mode="area")[0]
    widths = [width * n / whole for n, whole in zip(coarse.shape[1:], (y, x), strict=True)]
    smooth = torch.from_numpy(ndimage.gaussian_filter(coarse.numpy(), (0, *widths)))
    return interpolate(smooth[None], (y, x), mode="bilinear")[0].numpy()
