"""Which pixels hold tissue."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["foreground"]

THRESHOLD = 0.12
"""Of the bright tissue's signal."""


def foreground(images: NDArray[np.complex64], components: int = 2) -> NDArray[np.bool_]:
    """Pixels whose signal stands out, holes filled, specks removed.

    The signal is the energy in the leading temporal components of the slice itself, in which aliasing and noise,
    spread over all of time, hardly count.

    Args:
        images: (K, y, x) coefficients or frames.
        components: leading components that are taken as signal.

    Returns:
        (y, x)

    """
    flat = images.reshape(len(images), -1)
    _, vectors = np.linalg.eigh(flat @ flat.conj().T)
    signal = np.linalg.norm(vectors[:, -components:].conj().T @ flat, axis=0).reshape(images.shape[1:])
    mask = ndimage.gaussian_filter(signal, 0.7) > THRESHOLD * np.percentile(signal, 98)
    mask = ndimage.binary_opening(mask)
    return np.asarray(ndimage.binary_fill_holes(mask))
