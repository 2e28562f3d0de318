"""What a scan measures of a slice: a linear map from the images of its frames to samples of k-space, and its adjoint.

The same map can be written for coefficients of a temporal basis, from which the images are made.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["InBasis", "Measurement", "OnIteration", "half_energy", "ignore"]

OnIteration = Callable[[int, float], object]
"""Called by every method with the number of an iteration, from 1, and the cost after it. Progress bars and plots of the
convergence are made of it; an exception that it raises ends the method."""
ORTHONORMAL = 1e-5
"""Largest inner product of two columns that single precision explains: a hundred times its rounding error."""


class Measurement(Protocol):
    """A linear map from images (images, y, x), which are frames or coefficients, to samples of any shape."""

    shape: tuple[int, int, int]
    """(images, y, x)"""
    largest_eigenvalue: float
    """An upper bound of the largest eigenvalue of adjoint times forward. Its inverse is a safe step of a gradient."""

    def forward(self, images: Tensor) -> Tensor:
        """The samples of images (images, y, x), complex."""

    def adjoint(self, samples: Tensor) -> Tensor:
        """The images (images, y, x) whose inner product with any image is that of the samples with its samples."""


class InBasis:
    """A measurement of frames as a measurement of coefficients: image t is the sum over k of basis[t, k] times c_k.

    Args:
        frames: the measurement of (T, y, x) frames.
        basis: (T, K) orthonormal columns, real or complex.

    Raises ValueError, a programming error, when the basis has another number of frames or is not orthonormal.

    """

    def __init__(self, frames: Measurement, basis: Tensor) -> None:
        t, k = basis.shape
        if t != frames.shape[0]:
            raise ValueError(f"A basis of {t} frames for a measurement of {frames.shape[0]}.")
        if not torch.allclose(basis.mH @ basis, torch.eye(k, dtype=basis.dtype), atol=ORTHONORMAL):
            raise ValueError("The columns of the basis are not orthonormal.")
        self._frames, self._basis = frames, basis
        self.shape = (k, *frames.shape[1:])
        self.largest_eigenvalue = frames.largest_eigenvalue

    def forward(self, images: Tensor) -> Tensor:
        """The samples of coefficients (K, y, x)."""
        return self._frames.forward(self.expand(images))

    def adjoint(self, samples: Tensor) -> Tensor:
        """The coefficients (K, y, x) of the adjoint's frames."""
        return self.project(self._frames.adjoint(samples))

    def project(self, frames: Tensor) -> Tensor:
        """The coefficients (K, y, x) of the nearest frames (T, y, x) in the span of the basis."""
        return (self._basis.mH.to(frames.dtype) @ frames.flatten(1)).view(self.shape)

    def expand(self, images: Tensor) -> Tensor:
        """The frames (T, y, x) that coefficients (K, y, x) stand for."""
        return (self._basis.to(images.dtype) @ images.flatten(1)).view(self._frames.shape)


def half_energy(residual: Tensor) -> float:
    """Half the sum of the squared absolute values, in double precision: the misfit of samples."""
    return 0.5 * float(torch.linalg.vector_norm(residual.flatten(), dtype=torch.complex128)) ** 2


def ignore(iteration: int, cost: float) -> None:
    """Do nothing with the cost of an iteration."""
