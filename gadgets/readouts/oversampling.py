"""Oversampling that was removed from readouts before they were sent, restored by interpolation."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["restore_oversampling"]


def restore_oversampling(
    data: NDArray[np.complex64], k: NDArray[np.float32], center: int
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Samples at half the distance, for an object that lies inside the field of view of the samples.

    Without oversampling, the artefacts that radial spokes have outside of the field of view are folded into it. The
    projection of the object along the spoke is padded with zeros to twice the field of view, which undoes the removal.

    Args:
        data: (coils, samples).
        k: (samples, 2).
        center: index of the sample at k = 0.

    Returns:
        data (coils, 2 samples - 1) and k (2 samples - 1, 2); the given samples are every second one.

    """
    n_coils, n = data.shape
    projection = np.fft.ifft(np.roll(data, -center, axis=1), axis=1)
    padded = np.zeros((n_coils, 2 * n), complex)
    padded[:, : n - n // 2], padded[:, 2 * n - n // 2 :] = projection[:, : n - n // 2], projection[:, n - n // 2 :]
    fine = np.roll(np.fft.fft(padded, axis=1), 2 * center, axis=1)[:, :-1]
    fine_k = np.empty((2 * n - 1, k.shape[1]), np.float32)
    fine_k[::2], fine_k[1::2] = k, (k[1:] + k[:-1]) / 2
    return np.ascontiguousarray(fine, np.complex64), fine_k
