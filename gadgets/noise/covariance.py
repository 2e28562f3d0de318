"""The noise covariance of the coils, and the matrix that makes their noise white."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["concentration", "noise_scale", "regularised", "whitening_matrix"]

LEAST_EIGENVALUE = 1e-6
"""Least eigenvalue of the coils' noise correlation. Whitening amplifies a direction by the inverse of its square root,
here at most by 10³. Samples in single precision are rounded by 6·10⁻⁸ of their size, and the largest ones of a spoke
are some 10⁴ times larger than noise: the rounding of the largest samples stays below the noise."""


def noise_scale(dwell_us: float, noise_dwell_us: float, noise_bandwidth: float) -> float:
    """The noise variance of a spoke's samples over that of a noise readout; it is proportional to the bandwidth."""
    if all(0 < value < np.inf for value in (dwell_us, noise_dwell_us, noise_bandwidth)):
        return noise_dwell_us / dwell_us / noise_bandwidth
    return 1.0


def concentration(noise: NDArray[np.complex128]) -> float:
    """The largest fraction of a coil's energy that lies in a twentieth of its samples.

    It is 0.20 in white Gaussian noise, whose power is exponentially distributed, and nearly 1 in a spoke.

    Args:
        noise: (coils, samples).

    """
    power = np.sort(np.abs(noise) ** 2, axis=1)
    total = power.sum(1)
    brightest = power[:, -(-power.shape[1] * 19 // 20) :].sum(1)
    return float((brightest[total > 0] / total[total > 0]).max(initial=0))


def regularised(covariance: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], list[int]]:
    """The covariance, with the eigenvalues of the coils' correlation raised to `LEAST_EIGENVALUE`.

    Args:
        covariance: (coils, coils), with positive variances.

    Returns:
        The covariance, which is the same array if no eigenvalue is too small; and the coils of which a combination
        carries too little noise, in ascending order.

    """
    deviation = np.sqrt(np.diag(covariance).real)
    eigenvalues, vectors = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    small = eigenvalues < LEAST_EIGENVALUE
    if not small.any():
        return covariance, []
    correlation = (vectors * np.maximum(eigenvalues, LEAST_EIGENVALUE)) @ vectors.conj().T
    involved = np.flatnonzero(np.abs(vectors[:, small]).max(1) > 0.5 / np.sqrt(len(covariance)))
    return correlation * np.outer(deviation, deviation), [int(coil) for coil in involved]


def whitening_matrix(covariance: NDArray[np.complex128]) -> NDArray[np.complex64]:
    """The matrix W with W covariance W^H = identity: the inverse of the Cholesky factor.

    Args:
        covariance: (coils, coils) <n n^H> of a spoke's noise, positive definite.

    """
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)), np.complex64)
