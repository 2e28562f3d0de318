"""Which pixels hold tissue that can be matched."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["foreground"]

OF_TISSUE = 0.3
"""Least signal over that of the tissue around it: coils shade the body several-fold, and cortical bone is dark."""
OF_BRIGHTEST = 0.08
"""Signal over the brightest above which a pixel certainly is tissue and shows how bright tissue is in its place."""


def foreground(images: NDArray[np.complex64], components: int = 2) -> NDArray[np.bool_]:
    """Pixels whose signal exceeds aliasing and noise; single-pixel specks and gaps are removed.

    The signal is the energy in the leading temporal components of the slice itself, in which aliasing and noise,
    spread over all of time, hardly count.

    Args:
        images: (K, y, x) coefficients or frames.
        components: leading components that are taken as signal.

    Returns:
        (y, x)

    """
    flat = torch.from_numpy(images).flatten(1)
    _, vectors = torch.linalg.eigh(flat @ flat.mH)  # numpy's takes seconds where OpenBLAS must share its cores
    signal = (vectors[:, -components:].mH @ flat).abs().square().sum(0).sqrt().reshape(images.shape[1:]).numpy()
    tissue = signal > OF_BRIGHTEST * np.percentile(signal, 99)
    width = max(images.shape[1:]) / 15
    density = ndimage.gaussian_filter(tissue.astype(np.float32), width)
    shading = ndimage.gaussian_filter(signal * tissue, width) / np.maximum(density, 1e-6)
    mask = (signal > OF_TISSUE * shading) & (density > 0.01)
    cross = ndimage.generate_binary_structure(2, 1)
    return np.asarray(ndimage.binary_closing(ndimage.binary_opening(mask, cross), cross))
