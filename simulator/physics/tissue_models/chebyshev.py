"""Chebyshev interpolation of signals between values of a tissue's parameters, with derivatives."""

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebder
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["chebyshev_values", "derivative", "from_unit"]


def chebyshev_values(x: Tensor, n: int) -> Tensor:
    """The first `n` Chebyshev polynomials (voxels, n), two at least, at values (voxels,) in -1..1."""
    columns = [torch.ones_like(x), x]
    while len(columns) < n:
        columns.append(2 * x * columns[-1] - columns[-2])
    return torch.stack(columns, dim=1)


def from_unit(x: NDArray[np.float64], span: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map values in -1..1 to a range."""
    return np.asarray(span.mean() + np.ptp(span) / 2 * x)


def derivative(coefficients: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The Chebyshev coefficients of the derivative along an axis, in the same shape."""
    padding = [(0, int(a == axis)) for a in range(coefficients.ndim)]
    return np.pad(chebder(coefficients, axis=axis), padding)
