"""Spreads the frames of a slice onto grids, on several threads.

A grid of all coils of a batch of frames is larger than the caches of a processor: to clear it, to spread onto it and to
read it again took a third of the time of gridding. So each thread has one small grid for every frame, in which it
computes one coil after the other, or one for every coil of a single frame.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from spokestream.gadgets.imaging.kept_grids import KEPT_GRIDS
from spokestream.gadgets.imaging.radial_grid import RadialGrid, SampleSpreader, ramp_density
from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers

__all__ = ["BATCH_FRAMES", "FrameSpreader", "area_of", "spread_grids"]

T = TypeVar("T")

BATCH_FRAMES = 8
"""Number of frames that are spread, and added to the coefficients, together."""


def spread_grids(n_coils: int, threads: int, *, by_frame: bool) -> int:
    """The number of grids onto which all threads of a `FrameSpreader` spread."""
    return min(threads, BATCH_FRAMES) * n_coils if by_frame else min(threads, n_coils) * BATCH_FRAMES


class FrameSpreader:
    """Spreads frames onto grids; every grid is computed on one thread, so that its bits do not depend on the others."""

    def __init__(self, matrix: tuple[int, int], n_coils: int, tolerance: float, scan: ScanContext) -> None:
        self.pool = workers(scan.threads)
        self.cancellation = scan.cancellation
        self.device = scan.device
        self.grid = RadialGrid(matrix, n_coils, tolerance)
        self._n_coils = n_coils
        n_grids = max(BATCH_FRAMES, n_coils)
        threads = range(min(scan.threads, n_grids))
        self._spreaders = [[SampleSpreader(matrix, 1, tolerance) for _ in range(BATCH_FRAMES)] for _ in threads]
        self._grids = [np.empty((n_grids, *self.grid.shape[1:]), np.complex64) for _ in threads]
        self._coefficients, self._ready = np.zeros(0, np.complex64), False

    def close(self) -> None:
        """End the threads, and leave the memory of the coefficients to the next scan."""
        self.pool.shutdown()
        KEPT_GRIDS.give(self._coefficients)
        self._coefficients = np.zeros(0, np.complex64)

    def prepare(self, n: int) -> None:
        """Make `coefficients` ready, which takes longer than to spread a batch where the system must find memory."""
        if len(self._coefficients) != n:
            self._coefficients, self._ready = KEPT_GRIDS.take((n, *self.grid.shape)), False
        if not self._ready:
            self._coefficients.fill(0)
            self._ready = True

    def coefficients(self, n: int) -> torch.Tensor:
        """Zeros (n, coils, grid y, grid x), in the same memory for all slices."""
        self.prepare(n)
        self._ready = False
        return torch.from_numpy(self._coefficients)

    def each_coil(self, blocks: list[SpokeBlock], use: Callable[[int, torch.Tensor], None]) -> None:
        """Spread at most `BATCH_FRAMES` frames, coil by coil.

        Args:
            blocks: the frames.
            use: called with the number of each coil and the grids (frames, grid y, grid x) of its frames, which are
                overwritten after the call.

        """
        areas = [area_of(block) for block in blocks]
        threads = min(len(self._grids), self._n_coils)

        def spread_every_nth(thread: int) -> None:
            spreaders, grids = self._spreaders[thread], self._grids[thread][: len(blocks)]
            for spreader, block in zip(spreaders, blocks, strict=False):
                spreader.place(block.k)
            for coil in range(thread, self._n_coils, threads):
                for spreader, block, area, grid in zip(spreaders, blocks, areas, grids, strict=False):
                    spreader.spread(block.data[coil] * area, grid)
                use(coil, torch.from_numpy(grids))

        list(self.pool.map(spread_every_nth, range(threads)))

    def each_frame(self, blocks: list[SpokeBlock], use: Callable[[torch.Tensor], T]) -> list[T]:
        """What `use` makes of the grid (coils, grid y, grid x) of each frame, which is overwritten after the call."""
        threads = min(len(self._grids), BATCH_FRAMES)

        def spread_every_nth(thread: int) -> list[T]:
            spreader, grid = self._spreaders[thread][0], self._grids[thread][: self._n_coils]
            found = []
            for block in blocks[thread::threads]:
                spreader.place(block.k)
                area = area_of(block)
                for data, of_coil in zip(block.data, grid, strict=True):
                    spreader.spread(data * area, of_coil)
                found.append(use(torch.from_numpy(grid)))
            return found

        by_thread = [iter(found) for found in self.pool.map(spread_every_nth, range(threads))]
        return [next(by_thread[i % threads]) for i in range(len(blocks))]


def area_of(block: SpokeBlock) -> NDArray[np.float32]:
    """The area of k-space (spokes, samples) that each sample represents in its frame."""
    return ramp_density(block.k, block.radii) if block.density is None else block.density
