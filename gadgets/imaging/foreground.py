"""Which pixels hold tissue that can be matched."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["foreground"]

OF_TISSUE = 0.3
"""Least signal, of the tissue around: coils shade the body several-fold, cortical bone is dark next to muscle."""
OF_BRIGHTEST = 0.08
"""Signal, of the brightest, above which a pixel surely is tissue and tells how bright tissue is there."""


def foreground(images: NDArray[np.complex64], components: int = 2) -> NDArray[np.bool_]:
    """Pixels whose signal stands out from aliasing and noise; single-pixel specks and gaps are removed.

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
