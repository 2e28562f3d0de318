"""Gridding: frames of spokes to the coil-combined temporal coefficients of a slice, while the scan goes on."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from gadgets.basis import TemporalBasis
from gadgets.coils import CoilCalibration
from gadgets.foreground import foreground
from gadgets.gadget import Gadget
from gadgets.messages import Fingerprints, SliceEnd, SpokeBlock
from gadgets.radial_grid import RadialGrid, ramp_density
from gadgets.scan import ScanContext, ScanError

__all__ = ["Gridding"]

BATCH_FRAMES = 8
"""Frames that are weighed into the coefficients in one matrix product."""
CALIBRATION_FRAMES = 48
"""Frames after which coil sensitivities are settled when frames must be combined as they come."""


class Gridding(Gadget[SpokeBlock | SliceEnd, Fingerprints]):
    """Adjoint NUFFT with ramp density compensation, in a temporal basis, combined over coils.

    In a compressed basis, frames are weighed together on the grid: K FFTs a coil at the slice's end instead of one
    for every frame, and sensitivities from all of its spokes. When the images are the frames themselves, each is
    transformed and combined as it comes, with the sensitivities that the first of them show. Neither holds the
    frames of every coil.
    """

    accepts = (SpokeBlock, SliceEnd)

    def __init__(self, basis: TemporalBasis, tolerance: float = 1e-3) -> None:
        self.basis = basis
        self.tolerance = tolerance

    def start(self, scan: ScanContext) -> None:
        """Check the basis against the sequence."""
        if len(self.basis.weights) != scan.sequence.n_frames:
            raise ScanError(
                f"The temporal basis is made for {len(self.basis.weights)} frames, the sequence has "
                f"{scan.sequence.n_frames}."
            )
        torch.set_num_threads(scan.threads)
        self._scan = scan
        matrix = scan.header.recon_matrix
        self._matrix = (matrix[1], matrix[0])
        self._grid: RadialGrid | None = None
        self._slice: _FrameSlice | _CompressedSlice | None = None

    def feed(self, message: SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints]:
        """Grid a frame; at the slice's end yield its coefficients."""
        if isinstance(message, SpokeBlock):
            n_coils = len(message.data)
            if self._grid is None or self._grid.shape[0] != n_coils:
                self._grid = RadialGrid(self._matrix, n_coils, self.tolerance, self._scan.threads)
            if self._slice is None:
                kind = _FrameSlice if self.basis.is_frames else _CompressedSlice
                self._slice = kind(self._grid, self.basis)
            self._slice.add(message)
        elif self._slice is not None:
            images, self._slice = self._slice.images(), None
            yield Fingerprints(
                images, self.basis, foreground(images), message.slice, message.geometry, message.integrity
            )

    def close(self) -> None:
        """Give the plan and the grids back."""
        self._grid = self._slice = None


class _CompressedSlice:
    """One slice in a compressed basis: coefficient grids of all coils, filled a batch of frames at a time."""

    def __init__(self, grid: RadialGrid, basis: TemporalBasis) -> None:
        self._grid = grid
        self._weights = basis.weights
        self._calibration = CoilCalibration(grid)
        self._coefficients = torch.from_numpy(grid.empty(basis.weights.shape[1]))
        self._batch = grid.empty(BATCH_FRAMES)
        self._frames: list[int] = []

    def add(self, block: SpokeBlock) -> None:
        space = self._batch[len(self._frames)]
        self._grid.spread(block.data * ramp_density(block.k), block.k, out=space)
        self._calibration.add(block.frame, space)
        self._frames.append(block.frame)
        if len(self._frames) == BATCH_FRAMES:
            self._fold()

    def images(self) -> NDArray[np.complex64]:
        self._fold()
        weights = self._calibration.sensitivities().conj() * self._grid.correction
        return np.stack([self._grid.combined(grid, weights).numpy() for grid in self._coefficients])

    def _fold(self) -> None:
        weights = self._weights[self._frames]
        used = np.flatnonzero(np.any(weights != 0, axis=0))  # of other echo times all are zero
        if not used.size:
            self._frames.clear()
            return
        first, last = used[0], used[-1] + 1
        by_frame = torch.from_numpy(weights[:, first:last].T.copy())
        batch = torch.from_numpy(self._batch[: len(self._frames)])
        for coil in range(batch.shape[1]):  # a coil at a time stays nearer to the caches
            _as_rows(self._coefficients[first:last, coil]).addmm_(by_frame, _as_rows(batch[:, coil]))
        self._frames.clear()


class _FrameSlice:
    """One slice frame by frame; the first ones wait for the coil sensitivities."""

    def __init__(self, grid: RadialGrid, basis: TemporalBasis) -> None:
        self._grid = grid
        self._calibration = CoilCalibration(grid)
        self._space = grid.empty()
        self._images = np.zeros((len(basis.weights), *grid.matrix), np.complex64)
        self._weights: torch.Tensor | None = None
        self._waiting: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        self._spread(block)
        if self._weights is not None:
            self._combine(block.frame)
            return
        self._calibration.add(block.frame, self._space)
        self._waiting.append(block)
        if len(self._waiting) == CALIBRATION_FRAMES:
            self._settle()

    def images(self) -> NDArray[np.complex64]:
        if self._weights is None:
            self._settle()
        return self._images

    def _settle(self) -> None:
        self._weights = self._calibration.sensitivities().conj() * self._grid.correction
        for block in self._waiting:
            self._spread(block)
            self._combine(block.frame)
        self._waiting.clear()

    def _spread(self, block: SpokeBlock) -> None:
        self._grid.spread(block.data * ramp_density(block.k), block.k, out=self._space)

    def _combine(self, frame: int) -> None:
        assert self._weights is not None
        self._images[frame] = self._grid.combined(torch.from_numpy(self._space), self._weights).numpy()


def _as_rows(grids: torch.Tensor) -> torch.Tensor:
    """(images, everything else as real numbers)."""
    return torch.view_as_real(grids).flatten(1)
