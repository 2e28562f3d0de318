"""Whether measured fingerprints are complex conjugates of those that tissue gives.

In conjugate data fat has a higher frequency than water. No off-resonance within the range of the model explains that.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.tissue_models.tissue_model import ClosedForm

__all__ = ["FEWEST_VOXELS", "are_conjugates", "mirrored", "some_fingerprints", "tissue_examples"]

EXAMPLES = 4096
"""Number of tissues among which each voxel is searched; they are evenly spread over the ranges of the parameters."""
CHUNK = 1024
"""Number of tissues that are computed together, so that their derivatives take little memory."""
MOST_VOXELS = 128
"""Number of voxels that are compared, evenly spread over the foreground."""
FEWEST_VOXELS = 64
"""Least number of voxels that decide."""
LEAST_RATIO = 1.5
"""Least ratio of the mean residual of fingerprints to that of their conjugates. In 16 simulated scans (shoulder, thigh,
pelvis and abdomen) it was at most 0.4, and at least 2.7 when their samples were conjugated."""


MOST_UNEXPLAINED = 0.5
"""Mean residual, relative to the energy of a fingerprint, above which examples do not explain it. It is 0.84 for noise
in 17 images."""


def tissue_examples(closed_form: ClosedForm) -> Tensor:
    """Fingerprints (examples, K) over their noise, with unit norm."""
    parameters = closed_form.model.parameters
    positions = torch.from_numpy(_evenly_spread(EXAMPLES, len(parameters)))
    columns = [p.low + (p.high - p.low) * positions[:, i] for i, p in enumerate(parameters)]
    chunks = zip(*(torch.split(column, CHUNK) for column in columns), strict=True)
    return _unit(torch.cat([closed_form.at(*chunk)[0] for chunk in chunks]))


def some_fingerprints(images: NDArray[np.complex64], foreground: NDArray[np.bool_]) -> Tensor:
    """The fingerprints (voxels, K) of some voxels of a foreground (y, x), evenly spread; images (K, y, x)."""
    voxels = np.flatnonzero(foreground)
    some = voxels[np.linspace(0, len(voxels) - 1, min(MOST_VOXELS, len(voxels))).astype(int)]
    return torch.from_numpy(np.ascontiguousarray(images.reshape(len(images), -1)[:, some].T))


def are_conjugates(fingerprints: Tensor, examples: Tensor) -> bool | None:
    """Whether the examples explain the conjugates of the fingerprints (voxels, K), over their noise, clearly better.

    None if they explain neither, for instance because the voxels hold only noise.
    """
    measured = _unit(fingerprints)
    # both correlations consist of the same four products of real and imaginary parts
    real_real, imag_imag = measured.real @ examples.real.T, measured.imag @ examples.imag.T
    imag_real, real_imag = measured.imag @ examples.real.T, measured.real @ examples.imag.T

    def residual(sign: int) -> float:
        squared = (real_real + sign * imag_imag).square_() + (imag_real - sign * real_imag).square_()
        return float(1 - squared.amax(1).mean())

    as_given = residual(1)
    if as_given > LEAST_RATIO * residual(-1):
        return True
    return False if as_given < MOST_UNEXPLAINED else None


def mirrored(images: NDArray[Any]) -> NDArray[Any]:
    """Images (..., y, x) mirrored at their centre n // 2. In even axes the first pixel has no partner and stays."""
    out = images[..., ::-1, ::-1]
    shifts = [1 - n % 2 for n in images.shape[-2:]]
    return np.ascontiguousarray(np.roll(out, shifts, axis=(-2, -1)))


def _evenly_spread(n: int, dimensions: int) -> NDArray[np.float32]:
    """Points (n, dimensions) that fill the unit cube evenly: multiples of powers of a generalised golden ratio."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return ((0.5 + np.outer(np.arange(n), steps)) % 1).astype(np.float32)


def _unit(fingerprints: Tensor) -> Tensor:
    norm = fingerprints.abs().square().sum(1, keepdim=True).sqrt()
    return fingerprints / norm.clamp_min(torch.finfo(torch.float32).tiny)
