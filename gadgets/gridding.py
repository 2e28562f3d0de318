"""Gridding: computes the coil-combined temporal coefficients of a slice from its frames, while the scan continues."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.imaging.coil_sensitivities import frames_of_window
from spokestream.gadgets.imaging.foreground import foreground
from spokestream.gadgets.imaging.frames_of_slice import BATCH_FRAMES, CoilSlice, CombinedSlice, FrameSpreader
from spokestream.gadgets.imaging.subspace_inversion import EchoTime, PointSpread
from spokestream.gadgets.messages import Fingerprints, SliceEnd, SpokeBlock
from spokestream.gadgets.quality.image_evidence import CORNERS
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["Gridding"]

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
        inversion: the echo times of a compressed basis, see `echo_times`. With them, the images are those of low-rank
            inversion; without them, those of the adjoint.

    Raises ScanError if the basis and the sequence have different numbers of frames.

    """

    accepts = (SpokeBlock, SliceEnd)

    def __init__(
        self,
        scan: ScanContext,
        basis: TemporalBasis,
        tolerance: float = 1e-3,
        inversion: list[EchoTime] | None = None,
    ) -> None:
        if len(basis.weights) != scan.sequence.n_frames:
            raise ScanError(
                f"The temporal basis is made for {len(basis.weights)} frames, "
                f"the sequence has {scan.sequence.n_frames}."
            )
        self._scan = scan
        self._basis = basis
        self._tolerance = tolerance
        self._groups = inversion
        matrix = scan.header.recon_matrix
        self._matrix = (matrix[1], matrix[0])
        self._present: set[int] = set()
        self._has_corners, self._straight, self._whole = False, True, False
        self._frames: FrameSpreader | None = None
        self._slice: CombinedSlice | CoilSlice | None = None

    def feed(self, message: SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints]:
        """Grid a frame. At the end of the slice, yield its coefficients."""
        self._scan.cancellation.check()
        if isinstance(message, SpokeBlock):
            frames = self._spreader(len(message.data), message.slice)
            if self._slice is None:
                self._whole = _is_whole(message)
                window = 1 if self._whole else frames_of_window(self._basis.spokes_per_frame)
                self._slice = self._begin(frames, window, len(message.data))
                self._straight = message.density is None  # all readouts of a scan have one shape
                self._has_corners = not self._straight and self._reaches_corners(message.k)
            self._slice.add(message)
            self._present.add(message.frame)
        elif self._slice is not None:
            images = self._slice.images()
            mask = foreground(self._clear(images))
            if isinstance(self._slice, CoilSlice):
                images = self._slice.inverted(images, mask)
            self._slice = None
            if not mask.any():
                self._scan.log.warning("Slice %d shows no tissue; its maps are empty.", message.slice + 1)
            missing = sorted(set(range(len(self._basis.weights))) - self._present)
            self._present.clear()
            # inversion finds the coefficients of all frames from those that are there
            basis = self._basis.without(missing) if missing and self._groups is None else self._basis
            yield Fingerprints(images, basis, mask, message.slice, message.geometry, self._has_corners, self._straight)

    def _begin(self, frames: FrameSpreader, window: int, n_coils: int) -> CombinedSlice | CoilSlice:
        if self._combines_at_once(n_coils):
            return CombinedSlice(frames, self._basis, window)
        spread = PointSpread(self._matrix, self._groups, self._tolerance) if self._groups else None
        return CoilSlice(frames, self._basis, window, spread)

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

    def _spreader(self, n_coils: int, slice_index: int) -> FrameSpreader:
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
            if self._groups and at_once:
                raise ScanError(f"The inversion takes {n_images} images of {n_coils} coils; compress to fewer coils.")
            n_pairs = sum(len(group.pairs) for group in self._groups or ())
            if self._groups and (n_bytes := PointSpread.bytes_needed(self._matrix, n_pairs)) > MOST_BYTES:
                raise ScanError(
                    f"The inversion of {n_images} images of {self._matrix} pixels needs {n_bytes / 2**30:.0f} GB; use "
                    "images = adjoint."
                )
            self._frames = FrameSpreader(self._matrix, n_coils, self._tolerance, self._scan)
        return self._frames


def _is_whole(block: SpokeBlock) -> bool:
    """Whether every readout of the block is a whole image: its samples represent about one cell of k-space."""
    return block.density is not None and float(np.median(block.density)) * len(block.k) < LARGEST_CELL
