"""Coil sensitivities from the spokes of the scan itself.

They are the dominant eigenvector of the local coil covariance (Walsh et al. 2000). The covariance is summed over
windows of the train instead of a neighbourhood of pixels. The contrast changes from window to window: where water is
nulled in one window it is not nulled in the next, so that every pixel of tissue has signal in some window.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.imaging.radial_grid import RadialGrid
from spokestream.gadgets.spokes.scale import scale_exponent, scaled

__all__ = ["RADIUS", "CoilCalibration", "dft_of_centre", "frames_of_window", "sensitivities"]

RADIUS = 16
"""Half-width of the central k-space that is used, in cycles per field of view."""
WINDOW_SPOKES = 96
"""Number of spokes or arms in a window: they sample a disc of this radius twice as densely as needed."""
POWER_ITERATIONS = 8
"""Number of power iterations. Few suffice, because in tissue one eigenvalue is many times larger than the others."""
FINENESS = 3
"""Pixels per resolution element of the coarse grid on which eigenvectors are computed before they are interpolated."""


def frames_of_window(spokes_per_frame: int) -> int:
    """The number of frames in a window if no single readout covers k-space."""
    return max(1, WINDOW_SPOKES // spokes_per_frame)


class CoilCalibration:
    """Collects the centre of k-space of one slice, window by window.

    Args:
        grid: the grid onto which samples are spread.
        window_frames: number of frames in a window, whose samples must cover the centre of k-space.

    """

    def __init__(self, grid: RadialGrid, window_frames: int) -> None:
        self._grid = grid
        self._window_frames = window_frames
        half = [min(-(-RADIUS * g // n), g // 2) for n, g in zip(grid.matrix, grid.shape[1:], strict=True)]
        self._centre = tuple(slice(g // 2 - h, g // 2 + h) for g, h in zip(grid.shape[1:], half, strict=True))
        self._windows: dict[int, NDArray[np.complex64]] = {}

    def add(self, frame: int, grid: NDArray[np.complex64]) -> None:
        """Add the spread spokes (coils, grid y, grid x) of one frame."""
        self.add_centre(frame, self.centre_of(grid))

    def centre_of(self, grids: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """A copy of the cells (..., cells y, cells x) of grids (..., grid y, grid x) that sensitivities need."""
        rows, columns = self._centre
        return grids[..., rows, columns].copy()

    def add_centre(self, frame: int, centre: NDArray[np.complex64]) -> None:
        """Add one frame, of which `centre_of` gave the centre (coils, cells, cells); it is kept, and changed later."""
        window = frame // self._window_frames
        if window in self._windows:
            self._windows[window] += centre
        else:
            self._windows[window] = centre

    def copy(self) -> "CoilCalibration":
        """What was collected so far; frames that are added to the original later are not in it."""
        copied = CoilCalibration(self._grid, self._window_frames)
        copied._windows = {window: centre.copy() for window, centre in self._windows.items()}
        return copied

    def sensitivities(self, pixels: tuple[int, int] | None = None) -> Tensor:
        """The sensitivities (coils, y, x) with unit norm over coils. Raises ValueError if nothing was added.

        Args:
            pixels: their number (y, x) over the field of view, by default that of the matrix.

        """
        if not self._windows:
            raise ValueError("coil sensitivities need at least one frame of spokes")
        windows = np.stack([self._windows[w] for w in sorted(self._windows)])
        largest = np.abs(windows.view(np.float32)).max(keepdims=True)
        windows = scaled(windows, scale_exponent(largest))  # single precision must hold the fourth power of the samples
        # cells of the oversampled grid are matrix/grid cycles apart, so its shape gives the field of view in cells
        return sensitivities(torch.from_numpy(windows), self._grid.shape[1:], self._grid.matrix, pixels)


def sensitivities(
    windows: Tensor, grid: tuple[int, ...], matrix: tuple[int, int], pixels: tuple[int, int] | None = None
) -> Tensor:
    """The sensitivities from low-resolution k-space.

    Args:
        windows: (windows, coils, cells, cells), central cells of Cartesian k-space; k = 0 in the middle, even axes.
        grid: number of cells (y, x) of the whole k-space, which determines the field of view.
        matrix: number of pixels (y, x) of the images of this k-space.
        pixels: number of pixels (y, x) of the maps, which cover the same field of view; by default the same.

    Returns:
        (coils, y, x) complex64 with unit norm over coils. Phases are relative to the coil combination that receives
        most signal.

    """
    cells = windows.shape[-2:]
    taper = [torch.hann_window(c + 1, periodic=False)[:c] for c in cells]
    coarse = tuple(min(n, FINENESS * round(c * n / g)) for n, c, g in zip(matrix, cells, grid, strict=True))
    to_image = [dft_of_centre(c, g, m, n) for c, g, m, n in zip(cells, grid, coarse, matrix, strict=True)]
    images = torch.einsum("yu,wcuv,xv->wcyx", to_image[0] * taper[0], windows, to_image[1] * taper[1])
    of_pixels = images.permute(2, 3, 1, 0).contiguous()  # a product of such matrices takes a tenth of an einsum's time
    covariance = of_pixels @ of_pixels.mH
    overall = torch.linalg.eigh(covariance.sum((0, 1)).to(torch.complex128)).eigenvectors[:, -1].to(torch.complex64)
    vector = overall.expand(*covariance.shape[:2], -1)
    for _ in range(POWER_ITERATIONS):
        vector = torch.einsum("yxcd,yxd->yxc", covariance, vector)
        vector = vector / vector.abs().square().sum(-1, keepdim=True).sqrt().clamp(min=1e-30)
    reference = vector @ overall.conj()
    vector = (
        vector * torch.where(reference.abs() > 0, reference.conj() / reference.abs().clamp(min=1e-30), 1)[..., None]
    )
    fine = [torch.from_numpy(_interpolation(m, n)) for m, n in zip(coarse, pixels or matrix, strict=True)]
    parts = torch.view_as_real(vector).permute(2, 3, 0, 1)  # real products take a quarter of the time
    maps = torch.view_as_complex((fine[0] @ parts @ fine[1].T).movedim(1, -1).contiguous())
    return maps / torch.view_as_real(maps).square().sum((0, -1)).sqrt().clamp(min=1e-30)


def dft_of_centre(cells: int, grid: int, coarse: int, matrix: int) -> Tensor:
    """The matrix (coarse, cells) of the inverse DFT from the central cells to pixels that cover the field of view."""
    k = (np.arange(cells) - cells // 2) / grid  # cycles per pixel of the fine image that belongs to the whole grid
    position = (np.arange(coarse) - coarse // 2) * (matrix / coarse)
    return torch.from_numpy(np.exp(2j * np.pi * np.outer(position, k)).astype(np.complex64))


def _interpolation(coarse: int, fine: int) -> NDArray[np.float32]:
    """The matrix (fine, coarse) of linear interpolation between pixel grids of one field of view, centred at n // 2."""
    position = (np.arange(fine) - fine // 2) * (coarse / fine) + coarse // 2
    left = np.clip(np.floor(position).astype(int), 0, coarse - 2)
    weight = np.clip(position - left, 0, 1)
    out = np.zeros((fine, coarse), np.float32)
    out[np.arange(fine), left] = 1 - weight
    out[np.arange(fine), left + 1] += weight
    return out
