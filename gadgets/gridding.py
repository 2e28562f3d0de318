"""Gridding: computes the coil-combined temporal coefficients of a slice from its frames, while the scan continues."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.imaging.coil_sensitivities import CoilCalibration, frames_of_window
from spokestream.gadgets.imaging.foreground import foreground
from spokestream.gadgets.imaging.radial_grid import RadialGrid, ramp_density
from spokestream.gadgets.imaging.subspace_inversion import PointSpread, echo_times, inverted
from spokestream.gadgets.messages import Fingerprints, SliceEnd, SpokeBlock
from spokestream.gadgets.quality.image_evidence import CORNERS
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["Gridding"]

BATCH_FRAMES = 8
"""Number of frames that are spread, and added to the coefficients, together."""
MOST_BYTES = 4 << 30
"""Largest memory for the coefficients of one slice."""
LARGEST_CELL = 1.5
"""Largest median area in (cycles per field of view)² that the samples of a whole image represent. It is 1 over the
oversampling in a raster, and about 20 for one of 48 spiral arms."""
CALIBRATION_FRAMES = 48
"""Number of frames from which coil sensitivities are computed when every frame is combined as it comes."""


class Gridding(Gadget[SpokeBlock | SliceEnd, Fingerprints]):
    """Adjoint NUFFT with ramp density compensation, in a temporal basis, combined over coils.

    In a compressed basis, weighted frames are added up on the grid. This takes K FFTs per coil at the end of the slice
    instead of one FFT per coil and frame, and the sensitivities are computed from all spokes of the slice. If the
    images are the frames themselves, each frame is transformed and combined as it comes, with sensitivities computed
    from the first frames. In both cases, the frames of single coils are never kept for the whole slice.

    Args:
        scan: the scan.
        basis: the temporal basis of the images.
        tolerance: relative accuracy of the gridding kernel.
        inverted_noise: noise (frames,) of the frames of a compressed basis, see `frame_noise`. With it, the images are
            those of low-rank inversion; without it, those of the adjoint.

    Raises ScanError if the basis and the sequence have different numbers of frames.

    """

    accepts = (SpokeBlock, SliceEnd)

    def __init__(
        self,
        scan: ScanContext,
        basis: TemporalBasis,
        tolerance: float = 1e-3,
        inverted_noise: NDArray[np.float32] | None = None,
    ) -> None:
        if len(basis.weights) != scan.sequence.n_frames:
            raise ScanError(
                f"The temporal basis is made for {len(basis.weights)} frames, "
                f"the sequence has {scan.sequence.n_frames}."
            )
        self._scan = scan
        self._basis = basis
        self._tolerance = tolerance
        self._groups = None if inverted_noise is None else echo_times(basis, inverted_noise)
        matrix = scan.header.recon_matrix
        self._matrix = (matrix[1], matrix[0])
        self._present: set[int] = set()
        self._has_corners, self._straight = False, True
        self._frames: _FrameSpreader | None = None
        self._slice: _FrameSlice | _CompressedSlice | None = None

    def feed(self, message: SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints]:
        """Grid a frame. At the end of the slice, yield its coefficients."""
        self._scan.cancellation.check()
        if isinstance(message, SpokeBlock):
            frames = self._spreader(len(message.data), message.slice)
            if self._slice is None:
                window = 1 if _is_whole(message) else frames_of_window(self._basis.spokes_per_frame)
                self._slice = self._begin(frames, window)
                self._straight = message.density is None  # all readouts of a scan have one shape
                self._has_corners = not self._straight and self._reaches_corners(message.k)
            self._slice.add(message)
            self._present.add(message.frame)
        elif self._slice is not None:
            images, mask = self._slice.images()
            self._slice = None
            if not mask.any():
                self._scan.log.warning("Slice %d shows no tissue; its maps are empty.", message.slice + 1)
            missing = sorted(set(range(len(self._basis.weights))) - self._present)
            self._present.clear()
            # inversion finds the coefficients of all frames from those that are there
            basis = self._basis.without(missing) if missing and self._groups is None else self._basis
            yield Fingerprints(images, basis, mask, message.slice, message.geometry, self._has_corners, self._straight)

    def _begin(self, frames: "_FrameSpreader", window: int) -> "_FrameSlice | _CompressedSlice":
        if self._basis.is_frames:
            return _FrameSlice(frames, self._basis, window)
        spread = PointSpread(self._matrix, self._groups, self._tolerance) if self._groups else None
        return _CompressedSlice(frames, self._basis, window, spread)

    def close(self) -> None:
        """Release plans, grids and threads."""
        frames, self._frames, self._slice = self._frames, None, None
        if frames is not None:
            frames.pool.shutdown()

    def _reaches_corners(self, k: NDArray[np.float32]) -> bool:
        """Whether samples at k (..., 2), in cycles per field of view, lie beyond the circle of the resolution."""
        edge = np.array(self._matrix[::-1]) / 2
        return bool(np.hypot(*(k / edge).reshape(-1, 2).T).max() > CORNERS)

    def _spreader(self, n_coils: int, slice_index: int) -> "_FrameSpreader":
        """The spreader for this number of coils, which is kept from slice to slice.

        Raises ScanError if it would need too much memory, or if the number of coils changes within a slice.
        """
        if self._frames is None or self._frames.grid.shape[0] != n_coils:
            if self._slice is not None:
                raise ScanError(f"The number of coils changes to {n_coils} within slice {slice_index + 1}.")
            self.close()
            n_images = self._basis.weights.shape[1]
            n_bytes = 13 * n_coils * n_images * self._matrix[0] * self._matrix[1]  # 8 at 1.25 x 1.25 upsampling
            if not self._basis.is_frames and n_bytes > MOST_BYTES:
                raise ScanError(
                    f"{n_images} images of {n_coils} coils at {self._matrix} pixels need {n_bytes / 2**30:.0f} GB; "
                    "compress to fewer coils."
                )
            if self._groups and (n_bytes := PointSpread.bytes_needed(self._matrix, self._groups)) > MOST_BYTES:
                raise ScanError(
                    f"The inversion of {n_images} images of {self._matrix} pixels needs {n_bytes / 2**30:.0f} GB; use "
                    "images = adjoint."
                )
            self._frames = _FrameSpreader(self._matrix, n_coils, self._tolerance, self._scan)
        return self._frames


class _FrameSpreader:
    """Spreads a batch of frames onto grids; every frame is computed on one thread."""

    def __init__(self, matrix: tuple[int, int], n_coils: int, tolerance: float, scan: ScanContext) -> None:
        self.pool = workers(scan.threads)
        self.cancellation = scan.cancellation
        self._grids = [RadialGrid(matrix, n_coils, tolerance) for _ in range(scan.threads)]
        self.grid = self._grids[0]
        self._batch = self.grid.empty(BATCH_FRAMES)
        self._coefficients = torch.empty(0)

    def coefficients(self, n: int) -> torch.Tensor:
        """Zeros (n, coils, grid y, grid x). All slices use the same memory, because allocating it is slow."""
        if len(self._coefficients) != n:
            self._coefficients = torch.from_numpy(self.grid.empty(n))
        return self._coefficients.zero_()

    def spread(self, blocks: list[SpokeBlock]) -> torch.Tensor:
        """The grids (frames, coils, grid y, grid x) of at most `BATCH_FRAMES` frames; the next call overwrites them."""

        def spread_every_nth(thread: int) -> None:
            for i in range(thread, len(blocks), len(self._grids)):
                block = blocks[i]
                self._grids[thread].spread(_weighted(block), block.k, out=self._batch[i])

        list(self.pool.map(spread_every_nth, range(len(self._grids))))
        return torch.from_numpy(self._batch[: len(blocks)])


class _CompressedSlice:
    """One slice in a compressed basis: the coefficient grids of all coils, to which batches of frames are added."""

    def __init__(
        self, frames: _FrameSpreader, basis: TemporalBasis, window_frames: int, spread: PointSpread | None
    ) -> None:
        self._frames = frames
        self._spread = spread
        self._weights = torch.from_numpy(basis.weights)
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._coefficients = frames.coefficients(basis.weights.shape[1])
        self._blocks: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        self._blocks.append(block)
        if len(self._blocks) == BATCH_FRAMES:
            self._add_batch()

    def images(self) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
        """The images (K, y, x), and the foreground (y, x)."""
        self._add_batch()
        sensitivities = self._calibration.sensitivities()
        grid, weights = self._frames.grid, sensitivities.conj() * self._frames.grid.correction

        def image(coefficient: torch.Tensor) -> NDArray[np.complex64]:
            self._frames.cancellation.check()
            return np.asarray(grid.combined(coefficient, weights).numpy())

        adjoint = np.stack(list(self._frames.pool.map(image, self._coefficients)))
        mask = foreground(adjoint)
        if self._spread is None:
            return adjoint, mask
        check = self._frames.cancellation.check
        pool = self._frames.pool
        return inverted(adjoint, self._spread, sensitivities, mask, pool, lambda done: check()), mask

    def _add_batch(self) -> None:
        """Add the waiting frames to the coefficients of their echo times; their weights in all others are 0."""
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        batch = self._frames.spread(blocks)
        for block, grid in zip(blocks, batch, strict=True):
            self._calibration.add(block.frame, grid.numpy())
        if self._spread is not None:
            for block in blocks:
                self._spread.add(block.frame, block.k, _area(block))
        weights = self._weights[[block.frame for block in blocks]]
        used = weights.any(0).nonzero()[:, 0]
        first, last = int(used.min()), int(used.max()) + 1
        by_frame = weights[:, first:last].T.contiguous()

        def add(coil: int) -> None:
            _as_rows(self._coefficients[first:last, coil]).addmm_(by_frame, _as_rows(batch[:, coil]))

        list(self._frames.pool.map(add, range(batch.shape[1])))


class _FrameSlice:
    """One slice whose images are its frames. The first frames wait until coil sensitivities can be computed."""

    def __init__(self, frames: _FrameSpreader, basis: TemporalBasis, window_frames: int) -> None:
        self._frames = frames
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._images = np.zeros((len(basis.weights), *frames.grid.matrix), np.complex64)
        self._weights: torch.Tensor | None = None
        self._blocks: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        self._blocks.append(block)
        if self._weights is None and len(self._blocks) == CALIBRATION_FRAMES:
            self._calibrate()
        if self._weights is not None and len(self._blocks) >= BATCH_FRAMES:
            self._combine()

    def images(self) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
        """The images (frames, y, x), and the foreground (y, x)."""
        if self._weights is None:
            self._calibrate()
        self._combine()
        return self._images, foreground(self._images)

    def _calibrate(self) -> None:
        for blocks in _batches(self._blocks):
            for block, grid in zip(blocks, self._frames.spread(blocks), strict=True):
                self._calibration.add(block.frame, grid.numpy())
        self._weights = self._calibration.sensitivities().conj() * self._frames.grid.correction

    def _combine(self) -> None:
        waiting, self._blocks = self._blocks, []
        weights, grid = self._weights, self._frames.grid
        assert weights is not None
        for blocks in _batches(waiting):
            images = self._frames.pool.map(lambda frame: grid.combined(frame, weights), self._frames.spread(blocks))
            for block, image in zip(blocks, images, strict=True):
                self._images[block.frame] = image.numpy()


def _weighted(block: SpokeBlock) -> NDArray[np.complex64]:
    """The samples (coils, spokes, samples) times the area of k-space that each represents in its frame."""
    return block.data * _area(block)


def _area(block: SpokeBlock) -> NDArray[np.float32]:
    """The area of k-space (spokes, samples) that each sample represents in its frame."""
    return ramp_density(block.k) if block.density is None else block.density


def _is_whole(block: SpokeBlock) -> bool:
    """Whether every readout of the block is a whole image: its samples represent about one cell of k-space."""
    return block.density is not None and float(np.median(block.density)) * len(block.k) < LARGEST_CELL


def _batches(blocks: list[SpokeBlock]) -> Iterator[list[SpokeBlock]]:
    for first in range(0, len(blocks), BATCH_FRAMES):
        yield blocks[first : first + BATCH_FRAMES]


def _as_rows(grids: torch.Tensor) -> torch.Tensor:
    """The grids (images, ...) as real numbers (images, n)."""
    return torch.view_as_real(grids).flatten(1)
