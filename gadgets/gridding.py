"""Gridding: computes the coil-combined temporal coefficients of a slice from its frames, while the scan continues."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.imaging.coil_sensitivities import frames_of_window
from spokestream.gadgets.imaging.foreground import foreground
from spokestream.gadgets.imaging.frame_spreader import FrameSpreader, spread_grids
from spokestream.gadgets.imaging.frames_of_slice import CoilSlice, CombinedSlice, SliceSoFar
from spokestream.gadgets.imaging.image_kinds import CONSISTENT, ITERATIVE
from spokestream.gadgets.imaging.low_rank import EchoTime
from spokestream.gadgets.imaging.point_spread import PointSpread
from spokestream.gadgets.imaging.sample_operator import SampleSpread
from spokestream.gadgets.messages import NOWHERE, Complex, Fingerprints, Geometry, SliceEnd, SliceStart, SpokeBlock
from spokestream.gadgets.quality.image_evidence import CORNERS
from spokestream.gadgets.scan.context import ScanContext
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["MOST_UNASKED_BYTES", "Gridding", "PartialSlice"]

MOST_BYTES = 4 << 30
"""Largest memory for one slice."""
MOST_UNASKED_BYTES = 1 << 30
"""Largest memory for the point spread functions of an inversion that may be left out: that of images of 370 pixels with
the 14 coefficients of `fisp-fang-576`."""
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


@dataclass(frozen=True)
class PartialSlice:
    """A copy of a slice that is still being acquired, in coarse pixels. Any thread may compute its fingerprints."""

    frames: SliceSoFar
    basis: TemporalBasis
    """The basis without the frames that have not come yet."""
    whole: bool
    """Whether every readout is a whole image."""
    slice: int
    geometry: Geometry
    has_corners: bool
    straight: bool

    def fingerprints(self, threads: int, check: Callable[[], None]) -> Fingerprints:
        """The fingerprints of the spokes so far, as those of a coarse slice in which all later frames are missing.

        Args:
            threads: CPU threads.
            check: called before every image; an error that it raises ends the computation.

        """
        images = self.frames.images(threads, check)
        mask = foreground(_clear(images, self.basis, self.whole))
        return Fingerprints(images, self.basis, mask, self.slice, self.geometry, self.has_corners, self.straight)


class Gridding(Gadget[SliceStart | SpokeBlock | SliceEnd, Fingerprints]):
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
            inversion, unless they are `for_maps`; without them, those of the adjoint.
        for_maps: whether the images of the adjoint come with the operator, of these echo times, that says what the
            samples would show of the signal of maps; see `Consistency`.
        adjoint_instead: whether the images are those of the adjoint where an inversion would take too much memory, or
            has nothing to improve because every readout is a whole image. The provenance then says why.
        partial: whether `so_far` may be called, for which the grids stay as they are until the end of the slice.

    Raises ScanError if the basis and the sequence have different numbers of frames.

    """

    accepts = (SliceStart, SpokeBlock, SliceEnd)

    def __init__(
        self,
        scan: ScanContext,
        basis: TemporalBasis,
        tolerance: float = 1e-3,
        inversion: list[EchoTime] | None = None,
        *,
        for_maps: bool = False,
        adjoint_instead: bool = False,
        partial: bool = False,
    ) -> None:
        if len(basis.weights) != scan.sequence.n_frames:
            raise ScanError(
                f"The temporal basis is made for {len(basis.weights)} frames, "
                f"the sequence has {scan.sequence.n_frames}."
            )
        self._scan = scan
        self._basis = basis
        self._tolerance = tolerance
        self._inversion, self._for_maps = inversion, for_maps
        self._adjoint_instead, self._partial = adjoint_instead, partial
        matrix = scan.header.recon_matrix
        self._matrix = (matrix[1], matrix[0])
        self._present: set[int] = set()
        self._has_corners, self._straight, self._whole = False, True, False
        self._number, self._geometry = 0, NOWHERE
        self._frames: FrameSpreader | None = None
        self._slice: CombinedSlice | CoilSlice | None = None

    def feed(self, message: SliceStart | SpokeBlock | SliceEnd, /) -> Iterator[Fingerprints]:
        """Take the memory of a slice, or grid a frame. At the end of the slice, yield its coefficients."""
        self._scan.cancellation.check()
        if isinstance(message, SliceStart):
            frames = self._spreader(message.n_coils, message.slice)
            if not self.combines_at_once(message.n_coils):
                frames.prepare(self._basis.weights.shape[1])
        elif isinstance(message, SpokeBlock):
            n_coils = len(message.data)
            if self._slice is None:
                self._whole = _is_whole(message)
                groups = self._groups(message)
            frames = self._spreader(n_coils, message.slice)
            if self._slice is None:
                window = 1 if self._whole else frames_of_window(self._basis.spokes_per_frame)
                self._slice = self._begin(frames, window, groups, message)
                self._straight = message.density is None  # all readouts of a scan have one shape
                self._has_corners = not self._straight and self._reaches_corners(message.k)
                self._number, self._geometry = message.slice, message.geometry
            self._slice.add(message)
            self._present.add(message.frame)
        elif self._slice is not None:
            images = self._slice.images()
            mask = foreground(_clear(images, self._basis, self._whole))
            inverted, operator = None, None
            if isinstance(self._slice, CoilSlice):
                inverted, operator = self._slice.inverted(images, mask), self._slice.operator(self._basis, mask)
            self._slice = None
            if not mask.any():
                self._scan.log.warning("Slice %d shows no tissue; its maps are empty.", message.slice + 1)
            missing = sorted(set(range(len(self._basis.weights))) - self._present)
            self._present.clear()
            basis = self._basis.without(missing) if missing else self._basis
            found = Fingerprints(
                images, basis, mask, message.slice, message.geometry, self._has_corners, self._straight,
                operator=operator,
            )  # fmt: skip
            # inversion finds the coefficients of all frames from those that are there
            yield found if inverted is None else replace(found, data=inverted, basis=self._basis, adjoint=found)

    def combines_at_once(self, n_coils: int) -> bool:
        """Whether every frame is combined over coils as it comes, because images are many, or too large for all coils.

        If the images are fewer than half the frames, it takes less time to transform images than frames.
        """
        n_frames, n_images = self._basis.weights.shape
        n_bytes = BYTES_ON_GRID * n_coils * n_images * self._matrix[0] * self._matrix[1]
        return (self._basis.is_windows and 2 * n_images > n_frames) or bool(n_bytes > MOST_COIL_BYTES)

    @property
    def spokes_so_far(self) -> int:
        """The number of spokes of the current slice that are in its images."""
        return self._slice.spokes if isinstance(self._slice, CoilSlice) else 0

    @property
    def basis_so_far(self) -> TemporalBasis:
        """The basis without the frames that are not in the images of the current slice yet."""
        seen = self._slice.frames if isinstance(self._slice, CoilSlice) else []
        return self._basis.without(sorted(set(range(len(self._basis.weights))) - set(seen)))

    def so_far(self) -> PartialSlice:
        """A copy of the current slice, in coarse pixels (`CoarseGrid`).

        Raises ValueError if `spokes_so_far` is 0, or without `partial`.
        """
        if not self.spokes_so_far or not self._partial:
            raise ValueError("no spoke is in the images of the slice, or its grids are not kept")
        assert isinstance(self._slice, CoilSlice)
        return PartialSlice(
            self._slice.so_far(), self.basis_so_far, self._whole, self._number, self._geometry, self._has_corners,
            self._straight,
        )  # fmt: skip

    def _begin(
        self, frames: FrameSpreader, window: int, groups: list[EchoTime] | None, first: SpokeBlock
    ) -> CombinedSlice | CoilSlice:
        if self.combines_at_once(frames.grid.shape[0]):
            return CombinedSlice(frames, self._basis, window)
        spread: PointSpread | SampleSpread | None = None
        if groups is not None and self._for_maps:
            spread = SampleSpread(self._matrix, groups, self._tolerance, first)
        elif groups is not None:
            spread = PointSpread(self._matrix, groups, self._tolerance)
        return CoilSlice(frames, self._basis, window, spread, keeps_grids=self._partial)

    def _groups(self, first: SpokeBlock) -> list[EchoTime] | None:
        """The echo times of point spread functions for a slice with this first frame; None for images of the adjoint.

        The provenance says which. Raises ScanError if there cannot be one, because of its memory or the shape of the
        readouts, unless images of the adjoint may be taken instead.
        """
        if self._inversion is None:
            return None
        if self._adjoint_instead and self._whole:
            self._scan.provenance["images"] = "adjoint, because every readout is a whole image"
            return None
        kind = CONSISTENT if self._for_maps else ITERATIVE
        n_images, n_coils = self._basis.weights.shape[1], len(first.data)
        n_pairs = sum(len(group.pairs) for group in self._inversion)
        n_bytes = PointSpread.bytes_needed(self._matrix, n_pairs) * (SampleSpread.PARTS if self._for_maps else 1)
        if self._for_maps and first.density is not None:
            refusal = "Consistent images are those of straight spokes; use images = adjoint."
        elif self.combines_at_once(n_coils):
            refusal = f"{kind.capitalize()} images take {n_images} images of {n_coils} coils; compress to fewer coils."
        elif n_bytes > (MOST_UNASKED_BYTES if self._adjoint_instead else MOST_BYTES):
            needed = f"{n_images} {kind} images of {self._matrix} pixels need {n_bytes / 2**30:.0f} GB"
            refusal = f"{needed}; use images = adjoint."
        else:
            self._scan.provenance["images"] = kind
            return self._inversion
        if not self._adjoint_instead:
            raise ScanError(refusal)
        self._scan.provenance["images"] = "adjoint, because iterative images need too much memory"
        self._scan.log.warning(
            "Slice %d: iterative images need too much memory, so that those of the adjoint are matched: their aliasing "
            "makes T2 too long.", first.slice + 1,
        )  # fmt: skip
        return None

    def close(self) -> None:
        """Release plans, grids and threads."""
        frames, self._frames, self._slice = self._frames, None, None
        if frames is not None:
            frames.close()

    def _reaches_corners(self, k: NDArray[np.float32]) -> bool:
        """Whether samples at k (..., 2), in cycles per field of view, lie beyond the circle of the resolution."""
        edge = np.array(self._matrix[::-1]) / 2
        return bool(np.hypot(*(k / edge).reshape(-1, 2).T).max() > CORNERS)

    def _spreader(self, n_coils: int, slice_index: int) -> FrameSpreader:
        """The spreader for this number of coils, which is kept from slice to slice.

        Raises ScanError if it would need too much memory, or if the number of coils changes within a slice.
        """
        if self._frames is None or self._frames.grid.shape[0] != n_coils:
            if self._slice is not None:
                raise ScanError(f"The number of coils changes to {n_coils} within slice {slice_index + 1}.")
            self.close()
            n_images, at_once = self._basis.weights.shape[1], self.combines_at_once(n_coils)
            threads = self._scan.threads
            transforms = n_coils * (min(threads, n_images) + (0 if at_once else n_images))
            on_grids = BYTES_ON_GRID * (transforms + spread_grids(n_coils, threads, by_frame=at_once))
            n_bytes = (on_grids + 8 * n_images * at_once) * self._matrix[0] * self._matrix[1]
            if n_bytes > MOST_BYTES:
                raise ScanError(
                    f"{n_images} images of {n_coils} coils at {self._matrix} pixels need {n_bytes / 2**30:.0f} GB; "
                    "compress to fewer coils, or choose a basis of fewer images."
                )
            self._frames = FrameSpreader(self._matrix, n_coils, self._tolerance, self._scan)
        return self._frames


def _clear(images: Complex, basis: TemporalBasis, whole: bool) -> Complex:
    """Images (n, y, x) that show where there is tissue, from all images of a basis.

    Of windows that overlap, those that share no spoke show as much as all. Images of few spokes are added up, unless
    every readout is a whole image.
    """
    independent = basis.independent
    if len(independent) < len(images):
        images = images[independent]
    n_spokes = int((basis.weights != 0).sum(0).max()) * basis.spokes_per_frame
    if whole or n_spokes >= FEW_SPOKES:
        return images
    return np.asarray(np.add.reduceat(images, np.arange(0, len(images), -(-CLEAR_SPOKES // n_spokes)), axis=0))


def _is_whole(block: SpokeBlock) -> bool:
    """Whether every readout of the block is a whole image: its samples represent about one cell of k-space."""
    return block.density is not None and float(np.median(block.density)) * len(block.k) < LARGEST_CELL
