"""The frames of one slice on their way to images: added up on grids, and combined over coils."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spokestream.gadgets.imaging.coarse_images import CoarseGrid
from spokestream.gadgets.imaging.coil_sensitivities import CoilCalibration
from spokestream.gadgets.imaging.frame_spreader import BATCH_FRAMES, FrameSpreader, area_of
from spokestream.gadgets.imaging.point_spread import PointSpread
from spokestream.gadgets.imaging.sample_operator import SampleOperator, SampleSpread
from spokestream.gadgets.imaging.subspace_inversion import inverted
from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["CoilSlice", "CombinedSlice", "SliceSoFar"]

CALIBRATION_FRAMES = 48
CALIBRATION_WINDOWS = 4
"""Coil sensitivities are computed from that many frames, and at least as many windows, when every frame is combined as
it comes. With frames of one spoke, 48 frames are less than one window, in which some tissue has no signal."""


@dataclass(frozen=True)
class SliceSoFar:
    """The centre of k-space of a slice that is still being acquired. Any thread may compute its images."""

    grid: CoarseGrid
    n_images: int
    centres: dict[int, torch.Tensor]
    """Those of the images that have a frame so far, (coils, cells y, cells x); the others are 0."""
    calibration: CoilCalibration

    def images(self, threads: int, check: Callable[[], None]) -> NDArray[np.complex64]:
        """The coarse images of the adjoint (K, y, x).

        Args:
            threads: CPU threads.
            check: called before every image; an error that it raises ends the computation.

        """
        images = np.zeros((self.n_images, *self.grid.matrix), np.complex64)
        sensitivities = self.calibration.sensitivities(self.grid.matrix)
        with workers(threads) as pool:
            weights = sensitivities.conj() * self.grid.correction
            images[list(self.centres)] = _combined(self.grid.combined, self.centres.values(), weights, pool, check)
        return images


class CoilSlice:
    """One slice as grids of the images of all coils, to which batches of frames are added.

    An image that has all its frames is transformed at once, so that less is left for the end of the slice: those of all
    echo times but the last. Grids that `so_far` copies stay as they are.
    """

    def __init__(
        self,
        frames: FrameSpreader,
        basis: TemporalBasis,
        window_frames: int,
        spread: PointSpread | SampleSpread | None,
        *,
        keeps_grids: bool,
    ) -> None:
        self._frames = frames
        self._spread = spread
        self._keeps_grids = keeps_grids
        self._weights = torch.from_numpy(basis.weights)
        self._transformed: set[int] = set()
        self._n_spokes = len(basis.weights) * basis.spokes_per_frame
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._coefficients = frames.coefficients(basis.weights.shape[1])
        self._coarse: CoarseGrid | None = None
        self._blocks: list[SpokeBlock] = []
        self.frames: list[int] = []
        """The frames that were added to the images; up to `BATCH_FRAMES` others wait."""
        self.spokes = 0
        """Number of spokes of the frames that were added."""

    def add(self, block: SpokeBlock) -> None:
        """Add a frame."""
        self._blocks.append(block)
        if len(self._blocks) == BATCH_FRAMES:
            self._add_batch()
            if not self._keeps_grids:
                self._transform_finished()

    def images(self) -> NDArray[np.complex64]:
        """The images of the adjoint (K, y, x)."""
        self._add_batch()
        self._sensitivities = self._calibration.sensitivities()
        frames, grid, done = self._frames, self._frames.grid, self._transformed
        coils = (of if image in done else grid.transforms(of) for image, of in enumerate(self._coefficients))
        weights = self._sensitivities.conj() * grid.correction
        return _combined(grid.combined_transforms, coils, weights, frames.pool, frames.cancellation.check)

    def so_far(self) -> SliceSoFar:
        """A copy of the centre of k-space of the frames that were added; only if the slice keeps its grids.

        Frames that wait for their batch are left out: batches of another size would change the last bits of the images.
        """
        if self._coarse is None:
            self._coarse = CoarseGrid(self._frames.grid)
        used = self._weights[self.frames].any(0).nonzero()[:, 0].tolist()
        centres = {image: self._coarse.centre(self._coefficients[image]) for image in used}
        return SliceSoFar(self._coarse, self._weights.shape[1], centres, self._calibration.copy())

    def inverted(self, adjoint: NDArray[np.complex64], mask: NDArray[np.bool_]) -> NDArray[np.complex64] | None:
        """The images of low-rank inversion, from those of the adjoint and the foreground, if it is inverted."""
        if not isinstance(self._spread, PointSpread):
            return None
        frames = self._frames
        return inverted(
            adjoint, self._spread, self._sensitivities, mask, self._n_spokes, frames.pool,
            lambda done: frames.cancellation.check(), frames.device,
        )  # fmt: skip

    def operator(self, basis: TemporalBasis, mask: NDArray[np.bool_]) -> SampleOperator | None:
        """What the samples would show of a signal in the foreground, if that is wanted and there is a foreground."""
        if not isinstance(self._spread, SampleSpread) or not mask.any():
            return None
        frames = self._frames
        return SampleOperator.of(self._spread, basis, mask, self._sensitivities, frames.pool, frames.device)

    def _add_spread(self, blocks: list[SpokeBlock]) -> None:
        """Add frames to the point spread functions."""
        for block in blocks:
            if isinstance(self._spread, SampleSpread):
                self._spread.add(block, area_of(block))
            elif self._spread is not None:
                self._spread.add(block.frame, block.k, area_of(block))

    def _add_batch(self) -> None:
        """Add the waiting frames to the images that they are part of."""
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        if self._spread is not None:  # in one thread, whose sums do not depend on the number of threads
            self._frames.pool.submit(self._add_spread, blocks).result()
        images, by_frame = _images_of(blocks, self._weights)
        centres: dict[int, NDArray[np.complex64]] = {}

        def add(coil: int, frames: torch.Tensor) -> None:
            centres[coil] = self._calibration.centre_of(frames.numpy())
            _as_rows(self._coefficients[images, coil]).addmm_(by_frame, _as_rows(frames))

        self._frames.each_coil(blocks, add)
        for block, *centre in zip(blocks, *(centres[coil] for coil in sorted(centres)), strict=True):
            self._calibration.add_centre(block.frame, np.stack(centre))
        self.frames += [block.frame for block in blocks]
        self.spokes += sum(len(block.indices) for block in blocks)

    def _transform_finished(self) -> None:
        """Replace the grids of the images to which no frame will be added by their transforms, except at the end."""
        to_come = self._weights != 0
        to_come[self.frames] = False
        if not to_come.any():
            return
        finished = {image for image, lacks_frames in enumerate(to_come.any(0)) if not lacks_frames} - self._transformed

        def transform(image: int) -> None:
            grids = self._coefficients[image]
            for grid, transformed in zip(grids, self._frames.grid.transforms(grids), strict=True):
                grid.copy_(transformed)

        list(self._frames.pool.map(transform, finished))
        self._transformed |= finished


class CombinedSlice:
    """One slice as combined images, to which every frame is added as it comes.

    The first frames wait until coil sensitivities can be computed.
    """

    def __init__(self, frames: FrameSpreader, basis: TemporalBasis, window_frames: int) -> None:
        self._frames = frames
        self._weights = torch.from_numpy(basis.weights)
        self._calibration = CoilCalibration(frames.grid, window_frames)
        self._calibration_frames = max(CALIBRATION_FRAMES, CALIBRATION_WINDOWS * window_frames)
        self._images = torch.zeros((basis.weights.shape[1], *frames.grid.matrix), dtype=torch.complex64)
        self._combination: torch.Tensor | None = None
        self._blocks: list[SpokeBlock] = []

    def add(self, block: SpokeBlock) -> None:
        """Add a frame."""
        self._blocks.append(block)
        if self._combination is None and len(self._blocks) == self._calibration_frames:
            self._calibrate()
        if self._combination is not None and len(self._blocks) >= BATCH_FRAMES:
            self._combine()

    def images(self) -> NDArray[np.complex64]:
        """The images (K, y, x)."""
        if self._combination is None:
            self._calibrate()
        self._combine()
        return np.asarray(self._images.numpy())

    def _calibrate(self) -> None:
        for blocks in _batches(self._blocks):
            centres = self._frames.each_frame(blocks, lambda grid: self._calibration.centre_of(grid.numpy()))
            for block, centre in zip(blocks, centres, strict=True):
                self._calibration.add_centre(block.frame, centre)
        self._combination = self._calibration.sensitivities().conj() * self._frames.grid.correction

    def _combine(self) -> None:
        waiting, self._blocks = self._blocks, []
        combination, grid = self._combination, self._frames.grid
        assert combination is not None
        for blocks in _batches(waiting):
            self._frames.cancellation.check()
            frames = self._frames.each_frame(blocks, lambda frame: grid.combined(frame, combination))
            self._add(blocks, _as_rows(torch.stack(frames)))

    def _add(self, blocks: list[SpokeBlock], frames: torch.Tensor) -> None:
        """Add combined frames (frames, n) to the images that they are part of, some images on every thread."""
        images, by_frame = _images_of(blocks, self._weights)
        parts = torch.split(_as_rows(self._images[images]), BATCH_FRAMES), torch.split(by_frame, BATCH_FRAMES)
        list(self._frames.pool.map(lambda image, weights: image.addmm_(weights, frames), *parts))


def _combined(
    combine: Callable[[Any, torch.Tensor], torch.Tensor],
    coils: Iterable[Any],
    weights: torch.Tensor,
    pool: "Executor",
    check: Callable[[], None],
) -> NDArray[np.complex64]:
    """The images (K, y, x), each combined from what `combine` takes of all coils; `check` is called before each."""

    def image(of_coils: Any) -> NDArray[np.complex64]:
        check()
        return np.asarray(combine(of_coils, weights).numpy())

    return np.stack(list(pool.map(image, coils)))


def _images_of(blocks: list[SpokeBlock], weights: torch.Tensor) -> tuple[slice, torch.Tensor]:
    """The images that some frames are part of, and their weights (images, frames); the weights in others are 0.

    Frames between windows, if strides are longer than windows, are part of no image.
    """
    of_blocks = weights[[block.frame for block in blocks]]
    used = of_blocks.any(0).nonzero()[:, 0].tolist()
    images = slice(used[0], used[-1] + 1) if used else slice(0)
    return images, of_blocks[:, images].T.contiguous()


def _batches(blocks: list[SpokeBlock]) -> Iterator[list[SpokeBlock]]:
    for first in range(0, len(blocks), BATCH_FRAMES):
        yield blocks[first : first + BATCH_FRAMES]


def _as_rows(grids: torch.Tensor) -> torch.Tensor:
    """The grids (images, ...) as real numbers (images, n)."""
    return torch.view_as_real(grids).flatten(1)
