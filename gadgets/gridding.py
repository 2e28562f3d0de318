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
from spokestream.gadgets.messages import Fingerprints, SliceEnd, SpokeBlock
from spokestream.gadgets.quality.image_evidence import CORNERS
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["Gridding"]

BATCH_FRAMES = 8
"""Number of frames that are spread, and added to the coefficients, together."""
MOST_BYTES = 4 << 30
"""Largest memory for one slice."""
MOST_COIL_BYTES = 1 << 30
"""Largest memory for the coefficients of single coils."""
BYTES_ON_GRID = 13
"""Bytes of a pixel on the grid: complex numbers of 8 bytes at 1.25 x 1.25 upsampling."""
LARGEST_CELL = 1.5
"""Largest median area in (cycles per field of view)² that the samples of a whole image represent. It is 1 over the
oversampling in a raster, and about 20 for one of 48 spiral arms."""
FEW_SPOKES = 8
CLEAR_SPOKES = 48
"""Images of fewer spokes than the first number are added up to the second one, to show where there is tissue. In images
of one spoke or one arm, aliasing was taken for tissue in 80 to 96 % of the field of view of a brain, and in 77 % after
sums of 16 arms."""
CALIBRATION_FRAMES = 48
CALIBRATION_WINDOWS = 4
"""Coil sensitivities are computed from that many frames, and at least as many windows, when every frame is combined as
it comes. With frames of one spoke, 48 frames are less than one window, in which some tissue has no signal."""


class Gridding(Gadget[SpokeBlock | SliceEnd, Fingerprints]):
    """Adjoint NUFFT with ramp density compensation, in a temporal basis, combined over coils.

    If there are few images, weighted frames are added up on the grid. This takes K FFTs per coil at the end of the
    slice instead of one FFT per coil and frame, and the sensitivities are computed from all spokes of the slice. If
    there are about as many images as frames, or if the grids of all coils need too much memory, each frame is
    transformed and combined as it comes, with sensitivities computed from the first frames; the combined images alone
    are kept. In both cases, the frames of single coils are never kept for the whole slice.

    Args:
        scan: the scan.
        basis: the temporal basis of the images.
        tolerance: relative accuracy of the gridding kernel.

    Raises ScanError if the basis and the sequence have different numbers of frames.

    """

    accepts = (SpokeBlock, SliceEnd)

    def __init__(self, scan: ScanContext, basis: TemporalBasis, tolerance: float = 1e-3) -> None:
        if len(basis.weights) != scan.sequence.n_frames:
            raise ScanError(
                f"The temporal basis is made for {len(basis.weights)} frames, "
                f"the sequence has {scan.sequence.n_frames}."
            )
        self._scan = scan
        self._basis = basis
        self._tolerance = tolerance
        matrix = scan.header.recon_matrix
        self._matrix = (matrix[1], matrix[0])
        self._present: set[int] = set()
        self._has_corners, self._straight, self._whole = False, True, False
        self._frames: _FrameSpreader | None = None
        self._slice: _CombinedSlice | _CoilSlice | None = None

    def feed(self, message: SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints]:
        """Grid a frame. At the end of the slice, yield its coefficients."""
        self._scan.cancellation.check()
        if isinstance(message, SpokeBlock):
            frames = self._spreader(len(message.data), message.slice)
            if self._slice is None:
                self._whole = _is_whole(message)
                window = 1 if self._whole else frames_of_window(self._basis.spokes_per_frame)
                kind = _CombinedSlice if self._combines_at_once(len(message.data)) else _CoilSlice
                self._slice = kind(frames, self._basis, window)
                self._straight = message.density is None  # all readouts of a scan have one shape
                self._has_corners = not self._straight and self._reaches_corners(message.k)
            self._slice.add(message)
            self._present.add(message.frame)
        elif self._slice is not None:
            images, self._slice = self._slice.images(), None
            mask = foreground(self._clear(images))
            if not mask.any():
                self._scan.log.warning("Slice %d shows no tissue; its maps are empty.", message.slice + 1)
            missing = sorted(set(range(len(self._basis.weights))) - self._present)
            self._present.clear()
            basis = self._basis.without(missing) if missing else self._basis
            yield Fingerprints(images, basis, mask, message.slice, message.geometry, self._has_corners, self._straight)

    def close(self) -> None:
        """Release plans, grids and threads."""
        frames, self._frames, self._slice = self._frames, None, None
        if frames is not None:
            frames.pool.shutdown()

    def _clear(self, images: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Images (n, y, x) that show where there is tissue.

        Of windows that overlap, those that share no spoke show as much as all. Images of few spokes are added up.
        """
        independent = self._basis.independent
        if len(independent) < len(images):
            images = images[independent]
        n_spokes = int((self._basis.weights != 0).sum(0).max()) * self._basis.spokes_per_frame
        if self._whole or n_spokes >= FEW_SPOKES:
            return images
        return np.asarray(np.add.reduceat(images, np.arange(0, len(images), -(-CLEAR_SPOKES // n_spokes)), axis=0))

    def _reaches_corners(self, k: NDArray[np.float32]) -> bool:
        """Whether samples at k (..., 2), in cycles per field of view, lie beyond the circle of the resolution."""
        edge = np.array(self._matrix[::-1]) / 2
        return bool(np.hypot(*(k / edge).reshape(-1, 2).T).max() > CORNERS)

    def _combines_at_once(self, n_coils: int) -> bool:
        """Whether every frame is combined over coils as it comes, because images are many, or too large for all coils.

        If the images are fewer than half the frames, it takes less time to transform images than frames.
        """
        n_frames, n_images = self._basis.weights.shape
        n_bytes = BYTES_ON_GRID * n_coils * n_images * self._matrix[0] * self._matrix[1]
        return (self._basis.is_windows and 2 * n_images > n_frames) or bool(n_bytes > MOST_COIL_BYTES)

    def _spreader(self, n_coils: int, slice_index: int) -> "_FrameSpreader":
        """The spreader for this number of coils, which is kept from slice to slice.

        Raises ScanError if it would need too much memory, or if the number of coils changes within a slice.
        """
        if self._frames is None or self._frames.grid.shape[0] != n_coils:
            if self._slice is not None:
                raise ScanError(f"The number of coils changes to {n_coils} within slice {slice_index + 1}.")
            self.close()
            n_images, at_once = self._basis.weights.shape[1], self._combines_at_once(n_coils)
            on_grids = BYTES_ON_GRID * n_coils * (BATCH_FRAMES if at_once else n_images)
            n_bytes = (on_grids + 8 * n_images * at_once) * self._matrix[0] * self._matrix[1]
            if n_bytes > MOST_BYTES:
                raise ScanError(
                    f"{n_images} images of {n_coils} coils at {self._matrix} pixels need {n_bytes / 2**30:.0f} GB; "
                    "compress to fewer coils, or choose a basis of fewer images."
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


class _CoilSlice:
    """One slice as grids of the images of all coils, to which batches of frames are added."""

    def __init__(self, frames: _FrameSpreader, basis: TemporalBasis, window_frames: int) -> None:
        self._frames = frames
        self._weights = torch.from_numpy(basis.weights)
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._coefficients = frames.coefficients(basis.weights.shape[1])
        self._blocks: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        self._blocks.append(block)
        if len(self._blocks) == BATCH_FRAMES:
            self._add_batch()

    def images(self) -> NDArray[np.complex64]:
        self._add_batch()
        grid, weights = self._frames.grid, self._calibration.sensitivities().conj() * self._frames.grid.correction

        def image(coefficient: torch.Tensor) -> NDArray[np.complex64]:
            self._frames.cancellation.check()
            return np.asarray(grid.combined(coefficient, weights).numpy())

        return np.stack(list(self._frames.pool.map(image, self._coefficients)))

    def _add_batch(self) -> None:
        """Add the waiting frames to the images that they are part of."""
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        batch = self._frames.spread(blocks)
        for block, grid in zip(blocks, batch, strict=True):
            self._calibration.add(block.frame, grid.numpy())
        images, by_frame = _images_of(blocks, self._weights)

        def add(coil: int) -> None:
            _as_rows(self._coefficients[images, coil]).addmm_(by_frame, _as_rows(batch[:, coil]))

        list(self._frames.pool.map(add, range(batch.shape[1])))


class _CombinedSlice:
    """One slice as combined images, to which every frame is added as it comes.

    The first frames wait until coil sensitivities can be computed.
    """

    def __init__(self, frames: _FrameSpreader, basis: TemporalBasis, window_frames: int) -> None:
        self._frames = frames
        self._weights = torch.from_numpy(basis.weights)
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._calibration_frames = max(CALIBRATION_FRAMES, CALIBRATION_WINDOWS * window_frames)
        self._images = torch.zeros((basis.weights.shape[1], *frames.grid.matrix), dtype=torch.complex64)
        self._combination: torch.Tensor | None = None
        self._blocks: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        self._blocks.append(block)
        if self._combination is None and len(self._blocks) == self._calibration_frames:
            self._calibrate()
        if self._combination is not None and len(self._blocks) >= BATCH_FRAMES:
            self._combine()

    def images(self) -> NDArray[np.complex64]:
        if self._combination is None:
            self._calibrate()
        self._combine()
        return np.asarray(self._images.numpy())

    def _calibrate(self) -> None:
        for blocks in _batches(self._blocks):
            for block, grid in zip(blocks, self._frames.spread(blocks), strict=True):
                self._calibration.add(block.frame, grid.numpy())
        self._combination = self._calibration.sensitivities().conj() * self._frames.grid.correction

    def _combine(self) -> None:
        waiting, self._blocks = self._blocks, []
        combination, grid = self._combination, self._frames.grid
        assert combination is not None
        for blocks in _batches(waiting):
            self._frames.cancellation.check()
            frames = self._frames.pool.map(lambda frame: grid.combined(frame, combination), self._frames.spread(blocks))
            self._add(blocks, _as_rows(torch.stack(list(frames))))

    def _add(self, blocks: list[SpokeBlock], frames: torch.Tensor) -> None:
        """Add combined frames (frames, n) to the images that they are part of, some images on every thread."""
        images, by_frame = _images_of(blocks, self._weights)
        parts = torch.split(_as_rows(self._images[images]), BATCH_FRAMES), torch.split(by_frame, BATCH_FRAMES)
        list(self._frames.pool.map(lambda image, weights: image.addmm_(weights, frames), *parts))


def _images_of(blocks: list[SpokeBlock], weights: torch.Tensor) -> tuple[slice, torch.Tensor]:
    """The images that some frames are part of, and their weights (images, frames); the weights in others are 0."""
    of_blocks = weights[[block.frame for block in blocks]]
    used = of_blocks.any(0).nonzero()[:, 0]
    images = slice(int(used.min()), int(used.max()) + 1)
    return images, of_blocks[:, images].T.contiguous()


def _weighted(block: SpokeBlock) -> NDArray[np.complex64]:
    """The samples (coils, spokes, samples) times the area of k-space that each represents in its frame."""
    return block.data * (ramp_density(block.k) if block.density is None else block.density)


def _is_whole(block: SpokeBlock) -> bool:
    """Whether every readout of the block is a whole image: its samples represent about one cell of k-space."""
    return block.density is not None and float(np.median(block.density)) * len(block.k) < LARGEST_CELL


def _batches(blocks: list[SpokeBlock]) -> Iterator[list[SpokeBlock]]:
    for first in range(0, len(blocks), BATCH_FRAMES):
        yield blocks[first : first + BATCH_FRAMES]


def _as_rows(grids: torch.Tensor) -> torch.Tensor:
    """The grids (images, ...) as real numbers (images, n)."""
    return torch.view_as_real(grids).flatten(1)
