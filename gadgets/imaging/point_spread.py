"""The point spread functions of all pairs of coefficients, which are added up while the scan runs."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from spokestream.gadgets.imaging.low_rank import EchoTime
from spokestream.gadgets.imaging.radial_grid import UPSAMPLING, RadialGrid

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["PointSpread"]

PENDING = 48
"""Number of frames that are added to the point spread functions together, because each addition reads them all."""


class PointSpread:
    """The point spread functions of all pairs of coefficients, to which frames are added as they come.

    Args:
        matrix: image size (y, x) in pixels.
        groups: the echo times.
        tolerance: accuracy of the gridding kernel.

    """

    def __init__(self, matrix: tuple[int, int], groups: list[EchoTime], tolerance: float) -> None:
        self.matrix, self.groups = matrix, groups
        # all lags between two pixels of the image: a field of view of twice the size
        self._grid = RadialGrid((2 * matrix[0], 2 * matrix[1]), 1, tolerance)
        self._sums = [torch.zeros((len(group.pairs), *self._grid.shape[1:]), dtype=torch.complex64) for group in groups]
        self._spread = self._grid.empty(PENDING)
        self._pending: list[int] = []

    @staticmethod
    def bytes_needed(matrix: tuple[int, int], n_pairs: int) -> int:
        """The memory of all pairs, and of the frames that wait, on grids of twice the field of view."""
        cells = math.ceil((2 * UPSAMPLING) ** 2 * matrix[0] * matrix[1])
        return 8 * cells * (PENDING + n_pairs)

    def add(self, frame: int, k: NDArray[np.float32], weights: NDArray[Any]) -> None:
        """Add the samples of a frame.

        Args:
            frame: number of the frame.
            k: (..., 2) places in cycles per field of view.
            weights: (...) the area that each sample represents, or two real weights as one complex number.

        """
        self._grid.spread(
            np.ascontiguousarray(weights.reshape(1, -1), np.complex64), 2 * k, self._spread[len(self._pending)]
        )
        self._pending.append(frame)
        if len(self._pending) == PENDING:
            self._sum()

    def _sum(self) -> None:
        frames, self._pending = self._pending, []
        rows = torch.view_as_real(torch.from_numpy(self._spread[: len(frames), 0])).flatten(1)
        for group, sums in zip(self.groups, self._sums, strict=True):
            vectors = group.vectors[frames]
            if not vectors.any():
                continue
            products = np.stack([vectors[:, a] * vectors[:, b] for a, b in group.pairs])
            torch.view_as_real(sums).flatten(1).addmm_(torch.from_numpy(products), rows)

    def spectra(
        self, box: tuple[int, int], pool: "Executor", device: str = "cpu", n_weights: int = 1
    ) -> list[list[Tensor]]:
        """The spectra of the point spread functions, for images of a box of pixels.

        Real weights make a Hermitian function, whose spectrum is real. The imaginary part of the spectrum is thus that
        of the imaginary parts of the weights.

        Args:
            box: size (y, x) of the box in pixels.
            pool: threads of `workers`, which compute on the CPU, so that bits do not depend on their number.
            device: where they are computed, and stay.
            n_weights: 1, or 2 if the imaginary parts of the weights are weights, too.

        Returns:
            For each of the weights, by echo time: (pairs, y, x).

        """
        pool.submit(self._sum).result()
        shape = tuple(next_fast_len(2 * n) for n in box)

        def spectrum(of_pair: Tensor) -> Tensor:
            # `images` divides by the pixels of an image of twice the size
            psf = 4 * self._grid.images(of_pair[None].to(device))[0]
            return torch.view_as_real(torch.fft.fft2(_lags(psf, box, shape)))

        found = [[torch.empty((len(sums), *shape), device=device) for sums in self._sums] for _ in range(n_weights)]
        for i, sums in enumerate(self._sums):
            for pair, parts in enumerate(pool.map(spectrum, sums)):
                for part, of_weights in enumerate(found):
                    of_weights[i][pair] = parts[..., part]
        return found


def _lags(psf: Tensor, box: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
    """The point spread function at the lags within a box, lag 0 first, in an array of this shape; 0 elsewhere."""
    out = torch.zeros(shape, dtype=psf.dtype, device=psf.device)
    centre = tuple(n // 2 for n in psf.shape)
    (y, x), (cy, cx) = box, centre
    near = psf[cy - y + 1 : cy + y, cx - x + 1 : cx + x]
    rows = torch.arange(1 - y, y) % shape[0]
    columns = torch.arange(1 - x, x) % shape[1]
    out[rows[:, None], columns] = near
    return out
