"""What the samples of a slice would show of a signal: the images of the adjoint of these samples.

The images of the adjoint of measured samples have aliasing, and blurred fat. Both can be computed for any signal, such
as that of first maps: it is multiplied with the sensitivity of each coil and convolved with the point spread functions
of all pairs of coefficients, once for each polynomial of the phase along readouts (`readout_phase`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from spokestream.gadgets.imaging.low_rank import EchoTime
from spokestream.gadgets.imaging.point_spread import PointSpread
from spokestream.gadgets.imaging.readout_phase import ORDER, polynomials
from spokestream.gadgets.imaging.subspace_inversion import SubspaceOperator
from spokestream.gadgets.messages import SpokeBlock
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.temporal_basis import TemporalBasis

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["SampleOperator", "SampleSpread"]


class SampleSpread:
    """The point spread functions of samples with each polynomial of the phase, to which frames are added as they come.

    Args:
        matrix: image size (y, x) in pixels.
        groups: the echo times.
        tolerance: accuracy of the gridding kernel.
        first: the first frame. The times of all readouts are within those of its readouts.

    """

    PARTS = ORDER // 2 + 1
    """Number of `PointSpread`: each has two polynomials, as the real and the imaginary part of its weights."""

    def __init__(self, matrix: tuple[int, int], groups: list[EchoTime], tolerance: float, first: SpokeBlock) -> None:
        self.groups = groups
        self._parts = [PointSpread(matrix, groups, tolerance) for _ in range(self.PARTS)]
        self._end_us = 0.0 if first.time_us is None else float(np.abs(first.time_us).max())
        radius = np.linalg.norm(2 * first.k / np.array(matrix[::-1]), axis=-1).max()
        self.seen = float(min(1.0, np.pi / 4 * radius**2))
        """The part of the square of k-space with the resolution of the pixels that the circle of the spokes covers."""

    @property
    def half_readout_s(self) -> float:
        """Time from the echo to the end of a readout; 0 if it is not known."""
        return 1e-6 * self._end_us

    def add(self, block: SpokeBlock, area: NDArray[np.float32]) -> None:
        """Add a frame, with the area (spokes, samples) that each sample represents. Unknown times give no phase."""
        time_us = np.zeros_like(area) if block.time_us is None else block.time_us
        weights = area * polynomials(time_us / (self._end_us or 1.0))
        for part, first in zip(self._parts, range(0, ORDER + 1, 2), strict=True):
            second = weights[first + 1] if first < ORDER else 0
            part.add(block.frame, block.k, weights[first] + 1j * second)

    def spectra(self, box: tuple[int, int], pool: "Executor", device: str) -> list[list[Tensor]]:
        """The spectra of every polynomial, for images of a box of pixels; see `PointSpread.spectra`."""
        counts = (min(2, ORDER + 1 - first) for first in range(0, ORDER + 1, 2))
        return [s for part, n in zip(self._parts, counts, strict=True) for s in part.spectra(box, pool, device, n)]


@dataclass(frozen=True, eq=False)
class SampleOperator:
    """What the samples of one slice would show of the signal of its tissue."""

    basis: TemporalBasis
    """The basis of the signal, whose frames are all those of the train, whether or not they were measured."""
    half_readout_s: float
    """Time from the echo to the end of a readout; 0 if it is not known."""
    seen: float
    """The part of k-space that the samples cover."""
    groups: list[EchoTime]
    tissue: NDArray[np.bool_]
    """(y, x) pixels that may have signal."""
    sensitivities: Tensor
    """(coils, y, x) in the box of the tissue."""
    spectra: list[list[Tensor]]
    """The spectra of every polynomial, in the box of the tissue."""

    @classmethod
    def of(
        cls,
        spread: SampleSpread,
        basis: TemporalBasis,
        tissue: NDArray[np.bool_],
        sensitivities: Tensor,
        pool: "Executor",
        device: str = "cpu",
    ) -> "SampleOperator":
        """The operator of the frames that were added to a spread.

        Args:
            spread: all frames of the slice.
            basis: the basis of its echo times.
            tissue: (y, x) foreground, of which at least one pixel is tissue.
            sensitivities: (coils, y, x) with unit norm over coils.
            pool: computes on the CPU.
            device: where to compute, `cpu` or `cuda`.

        """
        box = _box(tissue)
        maps = sensitivities[:, *box].to(device)
        spectra = spread.spectra((maps.shape[1], maps.shape[2]), pool, device)
        return cls(basis, spread.half_readout_s, spread.seen, spread.groups, tissue, maps, spectra)

    def adjoint(
        self, signals: NDArray[np.complex64], threads: int, check: Callable[[], object] = lambda: None
    ) -> NDArray[np.complex64]:
        """The images (K, voxels) of the adjoint of the samples of a signal, in the voxels of the tissue.

        Args:
            signals: (ORDER + 1, K, voxels) coefficients of the tissue, times the factors of each polynomial.
            threads: CPU threads. The result does not depend on their number.
            check: called for every coil; raises an error if the scan was cancelled.

        """
        box, device = _box(self.tissue), self.sensitivities.device
        inside = torch.from_numpy(self.tissue[box])
        images = torch.zeros((*signals.shape[:2], *inside.shape), dtype=torch.complex64)
        images[..., inside] = torch.from_numpy(signals)
        with workers(threads) as pool:
            operator = SubspaceOperator(self.groups, self.spectra, self.sensitivities, inside.to(device), pool, check)
            found = operator(*images.to(device))
        return np.asarray(found[:, inside.to(device)].cpu().numpy())


def _box(tissue: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box of pixels that holds all tissue."""
    rows, columns = ndimage.find_objects(tissue.astype(np.uint8))[0]
    return rows, columns
