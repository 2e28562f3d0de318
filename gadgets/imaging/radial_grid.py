"""The adjoint NUFFT of radial spokes, taken apart: finufft spreads, one FFT makes the image, one division corrects.

The parts are separate because the middle one can be shared. Spreading a frame of 8 spokes costs a third of its FFTs;
weighted frames can be added on the grid before any FFT, and the kernel's roll-off is common to all coils, so that it
is corrected once, in the coil combination. The result is that of `finufft` type 1 to its tolerance (tested against the
exact sum).

It runs on one thread, in one order, so that the same spokes give the same bits. With more cores, take one grid for
each.
"""

from collections.abc import Iterator

import finufft
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["RadialGrid", "ramp_density"]

UPSAMPLING = 1.25
"""Fine grid over image; finufft's narrow kernel for it makes spreading and FFT cost about the same."""


class RadialGrid:
    """Oversampled Cartesian k-space of several coils, and the way from spokes to it and from it to images.

    Args:
        matrix: image size (y, x) in pixels.
        n_coils: images at a time.
        tolerance: asked of finufft's kernel; the adjoint's relative error is up to twice that.

    """

    def __init__(self, matrix: tuple[int, int], n_coils: int, tolerance: float = 1e-3) -> None:
        self.matrix = matrix
        self.shape = (n_coils, *(_grid_size(n) for n in matrix))
        self._plan = finufft.Plan(
            1, self.shape[1:], n_coils, tolerance, 1,
            dtype="complex64", upsampfac=UPSAMPLING, spreadinterponly=1, nthreads=1,
        )  # fmt: skip
        self.correction = self._roll_off_inverse()
        """(y, x) complex: divides the kernel out, with the 1 / pixels of the inverse transform."""

    def spread(self, data: NDArray[np.complex64], k: NDArray[np.float32], out: NDArray[np.complex64]) -> None:
        """Spread weighted samples onto the grid.

        Args:
            data: (coils, ...) samples.
            k: (..., 2) kx, ky in cycles per field of view.
            out: (coils, grid y, grid x), overwritten; k = 0 lies at the centre.

        """
        ny, nx = self.matrix
        points = k.reshape(-1, 2).astype(np.float64)
        self._plan.setpts(
            (2 * np.pi / ny * points[:, 1]).astype(np.float32), (2 * np.pi / nx * points[:, 0]).astype(np.float32)
        )
        self._plan.execute(np.ascontiguousarray(data.reshape(len(data), -1)), out=out)

    def images(self, grid: Tensor) -> Tensor:
        """(coils, y, x) images of one grid."""
        out = torch.empty((len(grid), *self.matrix), dtype=grid.dtype)
        for coil, image in zip(grid, out, strict=True):
            transform = torch.fft.ifft2(coil, norm="forward")
            for here, there in self._quadrants():
                torch.mul(transform[there], self.correction[here], out=image[here])
        return out

    def combined(self, grid: Tensor, weights: Tensor) -> Tensor:
        """(y, x) sum over coils of weights times images; weights (coils, y, x) must hold `correction` already."""
        out = torch.zeros(self.matrix, dtype=grid.dtype)
        for coil, weight in zip(grid, weights, strict=True):  # one at a time stays in the caches, half the time of all
            transform = torch.fft.ifft2(coil, norm="forward")
            for here, there in self._quadrants():
                out[here].addcmul_(weight[here], transform[there])
        return out

    def empty(self, *leading: int) -> NDArray[np.complex64]:
        """Zeroed memory for (*leading, coils, grid y, grid x)."""
        return np.zeros((*leading, *self.shape), np.complex64)

    def _roll_off_inverse(self) -> Tensor:
        """One over the image of a single sample at k = 0: what the kernel does to every image."""
        ny, nx = self.matrix
        grid = self.empty()
        self.spread(np.ones((self.shape[0], 1), np.complex64), np.zeros((1, 2), np.float32), grid)
        rolled = torch.fft.ifft2(torch.from_numpy(grid[0]).to(torch.complex128), norm="forward")
        out = torch.empty(self.matrix, dtype=torch.complex128)
        for here, there in self._quadrants():
            out[here] = 1 / (rolled[there] * (ny * nx))
        return out.to(torch.complex64)

    def _quadrants(self) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """Pairs (where in the image, where in the transform): a transform starts at r = 0, an image has it inside."""
        (ny, nx), (_, gy, gx) = self.matrix, self.shape
        rows = ((slice(0, ny // 2), slice(gy - ny // 2, gy)), (slice(ny // 2, ny), slice(0, ny - ny // 2)))
        columns = ((slice(0, nx // 2), slice(gx - nx // 2, gx)), (slice(nx // 2, nx), slice(0, nx - nx // 2)))
        for image_y, transform_y in rows:
            for image_x, transform_x in columns:
                yield (image_y, image_x), (transform_y, transform_x)


def ramp_density(k: NDArray[np.float32]) -> NDArray[np.float32]:
    """Area of k-space that each sample stands for, when the spokes share the half turn evenly.

    Args:
        k: (spokes, samples, 2) in cycles per field of view, evenly spaced along each spoke.

    Returns:
        (spokes, samples) in (cycles per field of view)²: pi / spokes · |k| · dk, at the centre the disc of diameter dk.

    """
    along = k[:, -1] - k[:, 0]
    step = float(np.mean(np.hypot(along[:, 0], along[:, 1]))) / max(1, k.shape[1] - 1)
    radius = np.maximum(np.hypot(k[..., 0], k[..., 1]), step / 4)
    return np.asarray(np.pi / len(k) * step * radius, np.float32)


def _grid_size(n: int) -> int:
    """Multiples of 32 transform fastest (448 for 350: a quarter less time than 450)."""
    return -(-round(UPSAMPLING * n + 0.5) // 32) * 32
