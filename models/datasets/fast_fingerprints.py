"""Fingerprints as the runtime makes them, computed from point spread functions instead of k-space.

The coefficient images of a slice come from FFTs (`simulator/expansion/point_spread.py`). The runtime estimates coil
compression and coil sensitivities from a small part of k-space; only that part is simulated here. Noise is gridded as
in the runtime, so that its statistics are right.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.coil_compression import CALIBRATION_SPOKES, compression_matrix
from spokestream.gadgets.imaging.coil_sensitivities import RADIUS, CoilCalibration, frames_of_window
from spokestream.gadgets.imaging.foreground import foreground
from spokestream.gadgets.imaging.low_rank import EchoTime
from spokestream.gadgets.imaging.point_spread import PointSpread as CoefficientSpread
from spokestream.gadgets.imaging.radial_grid import RadialGrid
from spokestream.gadgets.imaging.subspace_inversion import inverted
from spokestream.gadgets.messages import NOWHERE, Fingerprints
from spokestream.gadgets.workers import workers
from spokestream.models.datasets.whitened_exam import WhitenedExam
from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.acquisition.scanner import acquire
from spokestream.simulator.expansion.point_spread import PointSpread
from spokestream.simulator.expansion.spoke_terms import SpokeTerms
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.sequences.pulse_sequence import TRAINS
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["TOLERANCE", "FastGridding"]

Complex = NDArray[np.complex64]
Box = tuple[slice, slice]

TOLERANCE = 1e-3
"""Tolerance of the expansion into terms, see `SpokeTerms`."""
CALIBRATION_TOLERANCE = 2e-4
"""Tolerance of the k-space that the coils are estimated from. With 1e-3, images of a gradient-spoiled train differed by
2e-3 from those that went through k-space, with 3e-4 by 9e-4."""
MARGIN = 5
"""Cycles per field of view that the gridding kernel reaches beyond the centre of k-space used for calibration."""
BANKS = 2
"""Point spread functions are kept for this many sizes of the box."""
BATCH_FRAMES = 8
"""Frames of noise that are added to the coefficients together."""


class FastGridding:
    """Computes the gridded, coil-combined coefficients of a slice of an exam.

    Args:
        terms: the expansion of the signal; it must hold for the exam.
        basis: temporal basis of the coefficients.
        readout: nominal sample positions, which the reconstruction assumes.
        matrix: pixels along y and x.
        virtual_coils: number of coils that the array is compressed to.
        tolerance: of the gridding.
        inversion: the echo times of the basis; with them, the images are those of low-rank inversion, as in `Gridding`.

    """

    def __init__(
        self,
        terms: SpokeTerms,
        basis: TemporalBasis,
        readout: Sampling,
        *,
        matrix: int,
        virtual_coils: int,
        tolerance: float = 1e-3,
        inversion: list[EchoTime] | None = None,
    ) -> None:
        self._terms, self._basis, self._readout = terms, basis, readout
        self._matrix, self._virtual_coils, self._tolerance = (matrix, matrix), virtual_coils, tolerance
        frame_of = np.arange(len(readout)) // basis.spokes_per_frame
        self._spoke_fraction = 1 / np.bincount(frame_of)[frame_of]
        """(spokes,) the fraction of its frame that each spoke makes up."""
        self._weights = basis.weights[frame_of] * self._spoke_fraction[:, None]
        self._banks: dict[tuple[int, int], PointSpread] = {}
        self._grids: dict[int, RadialGrid] = {}
        self._coefficients = torch.empty(0)
        self._inverse = None if inversion is None else self._spread(inversion)

    def fingerprints(self, exam: WhitenedExam, index: int, box: Box) -> Fingerprints:
        """The fingerprints of the whole field of view. The box must hold all tissue; outside it is only noise."""
        phantom, settings = exam.phantoms[index], exam.settings
        coils = self._compressed(exam, phantom)
        grid = self._grid(len(coils))
        calibration = CoilCalibration(grid, frames_of_window(self._basis.spokes_per_frame))
        self._add_centre(calibration, grid, exam, phantom, coils)
        noise = self._noise(calibration, grid, exam, index) if exam.sigma else torch.empty(0)
        sensitivities = calibration.sensitivities()
        weights = sensitivities.conj()
        corrected = weights * grid.correction
        combined = torch.zeros((len(self._basis.te_ms), *self._matrix), dtype=torch.complex64)
        for image, coefficient in zip(combined, noise, strict=False):
            image[:] = grid.combined(coefficient, corrected)
        terms = self._terms.images(phantom, settings.inversion_efficiency, settings.delays)
        signal = self._bank(box).images(terms, (phantom.pd > 0)[box], np.ascontiguousarray(coils[:, *box]))
        for image, of_coils in zip(combined, signal, strict=True):
            image[box] += (of_coils * weights[:, *box]).sum(0)
        images = combined.numpy()
        mask = foreground(images)
        adjoint = Fingerprints(images, self._basis, mask, index, NOWHERE)
        if self._inverse is None:
            return adjoint
        n_spokes = len(self._basis.weights) * self._basis.spokes_per_frame
        with workers(1) as pool:
            images = inverted(images, self._inverse, sensitivities, mask, n_spokes, pool)
        return replace(adjoint, data=images, adjoint=adjoint)

    def _spread(self, groups: list[EchoTime]) -> CoefficientSpread:
        """The point spread functions of all pairs of coefficients; they are the same for all subjects."""
        spread = CoefficientSpread(self._matrix, groups, self._tolerance)
        per_frame = self._basis.spokes_per_frame
        density = (self._spoke_fraction[:, None] * self._readout.density).astype(np.float32)
        for frame in range(len(self._basis.weights)):
            spokes = slice(frame * per_frame, (frame + 1) * per_frame)
            spread.add(frame, self._readout.k[spokes].astype(np.float32), density[spokes])
        return spread

    def _grid(self, coils: int) -> RadialGrid:
        if coils not in self._grids:
            self._grids[coils] = RadialGrid(self._matrix, coils, self._tolerance)
        return self._grids[coils]

    def _bank(self, box: Box) -> PointSpread:
        size = (box[0].stop - box[0].start, box[1].stop - box[1].start)
        if size not in self._banks:
            if len(self._banks) == BANKS:
                del self._banks[next(iter(self._banks))]
            self._banks[size] = PointSpread(self._readout, self._terms.groups, self._weights, self._matrix, size)
        return self._banks[size]

    def _compressed(self, exam: WhitenedExam, phantom: Phantom) -> Complex:
        """Sensitivities (virtual coils, y, x) after the compression that the runtime finds in the first spokes."""
        coils = exam.coils
        if len(coils) <= self._virtual_coils:
            return coils
        n = min(CALIBRATION_SPOKES, len(exam.sequence))
        trains = {name: getattr(exam.sequence, name)[:n] for name in TRAINS}
        first = acquire(
            phantom, coils, replace(exam.sequence, **trains), exam.actual.part(spokes=slice(n)),
            lambda t1, t2, *, b1: exam.signal(t1, t2, b1=b1)[..., :n], tolerance=CALIBRATION_TOLERANCE, threads=1,
        )  # fmt: skip
        matrix, _ = compression_matrix(first.transpose(1, 0, 2), self._virtual_coils)
        return np.tensordot(matrix, coils, 1)

    def _add_centre(
        self, calibration: CoilCalibration, grid: RadialGrid, exam: WhitenedExam, phantom: Phantom, coils: Complex
    ) -> None:
        """Add the centre of noise-free k-space to the calibration."""
        radius = np.linalg.norm(self._readout.k[0], axis=-1)
        inside = np.flatnonzero(radius < RADIUS + MARGIN)
        centre = slice(inside[0], inside[-1] + 1)
        nominal, actual = self._readout.part(samples=centre), exam.actual.part(samples=centre)
        kspace = acquire(phantom, coils, exam.sequence, actual, exam.signal, tolerance=CALIBRATION_TOLERANCE, threads=1)
        receiver = np.exp(2e-3j * np.pi * self._terms.receiver_hz * nominal.time_ms)
        weighted = (kspace * (receiver * nominal.density) * self._spoke_fraction[:, None]).astype(np.complex64)
        spread = grid.empty()
        window = frames_of_window(self._basis.spokes_per_frame) * self._basis.spokes_per_frame
        for first in range(0, len(nominal), window):
            spokes = slice(first, first + window)
            grid.spread(weighted[:, spokes], nominal.k[spokes].astype(np.float32), out=spread)
            calibration.add(first // self._basis.spokes_per_frame, spread)

    def _noise(self, calibration: CoilCalibration, grid: RadialGrid, exam: WhitenedExam, index: int) -> Tensor:
        """Gridded noise (K, coils, grid y, grid x). It is also added to the calibration, which it disturbs."""
        per_frame, weights = self._basis.spokes_per_frame, torch.from_numpy(self._basis.weights)
        k = self._readout.k.astype(np.float32)
        density = (self._spoke_fraction[:, None] * self._readout.density).astype(np.float32)
        noise = exam.noise(index, grid.shape[0])
        if self._coefficients.shape[1:] != grid.shape:
            self._coefficients = torch.from_numpy(grid.empty(weights.shape[1]))
            self._batch = grid.empty(BATCH_FRAMES)
        coefficients = self._coefficients.zero_()
        for first in range(0, len(weights), BATCH_FRAMES):
            of_frames = weights[first : first + BATCH_FRAMES]
            for frame, out in zip(range(first, first + len(of_frames)), self._batch, strict=False):
                spokes = slice(frame * per_frame, (frame + 1) * per_frame)
                grid.spread(noise.spokes(len(k[spokes])) * density[spokes], k[spokes], out=out)
                calibration.add(frame, out)
            used = of_frames.any(0).nonzero()[:, 0]
            these = slice(int(used.min()), int(used.max()) + 1)
            batch = torch.view_as_real(torch.from_numpy(self._batch[: len(of_frames)])).flatten(1)
            torch.view_as_real(coefficients[these]).flatten(1).addmm_(of_frames[:, these].T.contiguous(), batch)
        return coefficients
