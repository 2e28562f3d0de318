"""All coils at any positions of k-space, a set of positions for every frame: radial spokes, spirals, or anything else.

Coil sensitivities are part of the map. The transform is finufft's of type 2, its adjoint of type 1.
"""

from typing import Any

import finufft
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["MultiCoilSampling"]

TOLERANCE = {torch.complex64: 1e-5, torch.complex128: 1e-12}
"""Relative error of the transform, some ten to a thousand times the rounding error of its precision."""
POWER_ITERATIONS = 30
"""Number of multiplications with adjoint times forward that look for its largest eigenvalue."""
MARGIN = 1.05
"""Factor on what they find. It is below the eigenvalue, by up to 3 % in frames of 1, 3 and 13 radial spokes or spiral
arms of 48 pixels and four coils (measured against ten times as many)."""


class MultiCoilSampling:
    """The Fourier transform of every frame, times the sensitivity of every coil, at the frame's own positions.

    It is divided by the square root of the number of pixels. It is orthonormal, then, for the positions of a grid and
    coils whose root sum of squares is 1.

    With the root of the area of k-space that each sample represents as weights, the adjoint is that of gridding, and
    gradient steps reach all of k-space at the same rate; otherwise they reach the rim, where samples are few, late.
    What was measured must be multiplied by the same weights.

    Args:
        k: (frames, samples, 2) kx and ky in cycles per field of view.
        sensitivities: (coils, y, x); the centre is in pixel y // 2, x // 2.
        dtype: precision of images and samples.
        threads: CPU threads of the transform.
        weights: (frames, samples) factors of all samples; None is 1.

    """

    def __init__(
        self,
        k: NDArray[np.float64],
        sensitivities: NDArray[np.complex64],
        dtype: torch.dtype = torch.complex64,
        threads: int = 1,
        weights: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        n_coils, ny, nx = sensitivities.shape
        self.shape = (len(k), ny, nx)
        self._sensitivities = torch.from_numpy(sensitivities).to(dtype) / np.sqrt(ny * nx)
        real = torch.empty(0, dtype=dtype).real.dtype
        of_samples = np.ones((1, 1)) if weights is None else weights
        self._weights = torch.from_numpy(of_samples).to(real)[:, None]
        positions = 2 * np.pi * k[..., ::-1] / np.array([ny, nx])
        self._positions = torch.from_numpy(np.ascontiguousarray(np.moveaxis(positions, -1, 1))).to(real).numpy()
        options = {"dtype": str(dtype).removeprefix("torch."), "nthreads": threads}
        self._to_samples = finufft.Plan(2, (ny, nx), n_coils, TOLERANCE[dtype], -1, **options)
        self._to_images = finufft.Plan(1, (ny, nx), n_coils, TOLERANCE[dtype], 1, **options)
        self.largest_eigenvalue = MARGIN * self._power_iterations(dtype)

    def forward(self, images: Tensor) -> Tensor:
        """The samples (frames, coils, samples) of images (frames, y, x)."""
        n_coils, samples = len(self._sensitivities), []
        for positions, image in zip(self._positions, images, strict=True):
            self._to_samples.setpts(*positions)
            result = self._to_samples.execute((self._sensitivities * image).numpy())
            samples.append(torch.from_numpy(result).view(n_coils, -1))  # finufft leaves out the axis of a single coil
        return torch.stack(samples) * self._weights

    def adjoint(self, samples: Tensor) -> Tensor:
        """The images (frames, y, x) of samples (frames, coils, samples), without other weights than the given ones."""
        images = []
        for positions, of_coils in zip(self._positions, samples * self._weights, strict=True):
            self._to_images.setpts(*positions)
            coil_images = torch.from_numpy(self._to_images.execute(of_coils.contiguous().numpy()))
            images.append((self._sensitivities.conj() * coil_images).sum(0))
        return torch.stack(images)

    def _power_iterations(self, dtype: torch.dtype) -> float:
        """The largest eigenvalue of all frames, which are separate blocks; approached from below."""
        images = torch.randn(self.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
        largest = torch.zeros(())
        for _ in range(POWER_ITERATIONS):
            norm = torch.linalg.vector_norm(images, dim=(1, 2), keepdim=True)
            images = self.adjoint(self.forward(images / norm.clamp_min(1e-30)))
            largest = torch.linalg.vector_norm(images, dim=(1, 2)).max()
        return float(largest)
