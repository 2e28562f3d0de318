"""The samples along a readout: where k = 0 lies and how far apart they are, from the header's geometry and the data."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.scan.header import ScanHeader

__all__ = [
    "ReadoutSampling",
    "covered_fraction",
    "doubtful_center",
    "doubtful_spacing",
    "misfit_of_matrix",
    "sample_at_center",
    "sampling_of",
]

SAME_LENGTH = (0.85, 1.3)
"""The half of k-space that a readout covers over the half that the header describes, if both mean the same spacing. Few
samples are added or dropped by receivers, and an echo may be shifted by up to a sixth of the readout."""
SAME_SPACING = 0.04
"""Difference of that ratio from 1 above which a warning is given: receivers add up to 16 samples to 512."""
FACTOR_OF_TWO = 0.06
"""Relative tolerance with which a readout has twice or half the samples of the header's encoded space."""
FINEST_BEYOND_RECON = 1.3
"""Largest extent of k-space over that of the recon matrix. More is more likely a wrong header than a finer scan."""
COARSEST = 0.2
"""Smallest extent of k-space over that of the recon matrix: converters interpolate two- or fourfold."""
FAR_FROM_CENTER = 1 / 32
"""Distance of the strongest sample from k = 0, relative to the number of samples, above which a warning is given. Coils
and inhomogeneous fields shift it by one or two samples."""
STRONG_OVER_MEDIAN = 4.0
"""The strongest sample of a readout is that of k = 0 if it is this much larger than the median; noise reaches 3."""


@dataclass(frozen=True)
class ReadoutSampling:
    """The sampling that all spokes of a scan share."""

    n_samples: int
    center: int
    """Index of the sample at k = 0."""
    spacing: float
    """Distance of two samples in cycles per recon field of view (along x)."""
    kept: slice
    """The samples inside the k-space of the recon matrix; the others would be aliased into it."""
    oversampling_removed: bool = False
    """Whether the oversampling that the header describes was removed before the readouts were sent."""
    warnings: tuple[str, ...] = ()
    """Sentences for the log, where header and readouts disagree."""

    def with_spacing(self, spacing: float, header: ScanHeader) -> "ReadoutSampling":
        """The same samples at another distance."""
        return replace(self, spacing=spacing, kept=_kept(self.n_samples, self.center, spacing, header))


def sampling_of(header: ScanHeader, n_samples: int, center: int) -> ReadoutSampling:
    """The sampling of readouts with this number of samples, k = 0 at `center`.

    The spacing is that of the header, 1 / oversampling, if readouts cover as much of k-space as `encodedSpace`. If they
    have twice as many samples, the header is at base resolution; if they have half of them, the oversampling was
    removed. Both give a warning. Raises ScanError if the numbers fit none of the three.
    """
    encoded = header.encoded_matrix[0]
    spacing = 1 / header.oversampling
    covered = 2 * max(center, n_samples - center) / encoded
    warnings, removed = [], False
    if not (n_samples == encoded or SAME_LENGTH[0] <= covered <= SAME_LENGTH[1]):
        factor = n_samples / encoded
        symmetric = abs(center - n_samples / 2) <= n_samples / 8
        if symmetric and abs(factor / 2 - 1) < FACTOR_OF_TWO:
            warnings.append(
                f"Readouts have {n_samples} samples but the header's encodedSpace has {encoded}: the header does not "
                "count their twofold oversampling, which is taken into account."
            )
        elif symmetric and abs(factor * 2 - 1) < FACTOR_OF_TWO:
            removed = True
            warnings.append(
                f"Readouts have {n_samples} samples but the header's encodedSpace has {encoded}: their twofold "
                "oversampling was removed before, and is restored by interpolation."
            )
        else:
            raise ScanError(
                f"Readouts have {n_samples} samples with k = 0 at sample {center}, but the header's encodedSpace has "
                f"{encoded}: neither the same, nor twice or half as many."
            )
        spacing *= encoded / n_samples
    kept = _kept(n_samples, center, spacing, header)
    return ReadoutSampling(n_samples, center, spacing, kept, removed, tuple(warnings))


def doubtful_spacing(header: ScanHeader, n_samples: int, center: int) -> str | None:
    """A warning if readouts without embedded trajectory cover another k-space than `encodedSpace`, or None.

    Either they have more or fewer samples at the header's spacing, or they cover the same k-space at another spacing;
    nothing tells which.
    """
    encoded = header.encoded_matrix[0]
    covered = 2 * max(center, n_samples - 1 - center) / encoded
    if n_samples == encoded or not SAME_LENGTH[0] <= covered <= SAME_LENGTH[1] or abs(covered - 1) <= SAME_SPACING:
        return None
    return (
        f"Readouts have {n_samples} samples but the header's encodedSpace has {encoded}: samples are taken to be as "
        "far apart as the header says; if they cover its k-space instead, the maps are wrong, and scaled by "
        f"{1 / covered:.2f}."
    )


def misfit_of_matrix(sampling: ReadoutSampling, header: ScanHeader) -> str | None:
    """None if the extent of k-space fits the recon matrix, or else what is wrong, in a sentence."""
    half = max(sampling.center, sampling.n_samples - sampling.center) * sampling.spacing
    reach = min(half, header.encoded_matrix[0] / 2 / header.oversampling)
    over = reach / _edge(header)
    if COARSEST <= over <= FINEST_BEYOND_RECON:
        return None
    return (
        f"The samples of a readout reach {reach:.4g} cycles per field of view, the recon matrix {_edge(header):.4g}: "
        "matrices and fields of view of the header's encodedSpace and reconSpace do not fit together."
    )


def doubtful_center(data: NDArray[np.complex64], center: int) -> str | None:
    """A warning if the strongest sample of a readout without embedded trajectory is not near `center`, or None.

    Args:
        data: (coils, samples).
        center: `center_sample`.

    """
    magnitude = np.sqrt((np.abs(data) ** 2).sum(0))
    strongest = int(np.argmax(magnitude))
    far = abs(strongest - center) > max(4, FAR_FROM_CENTER * len(magnitude))
    if not far or magnitude[strongest] < STRONG_OVER_MEDIAN * np.median(magnitude):
        return None
    return (
        f"center_sample is {center}, but the strongest sample of the first spoke is number {strongest}; if k = 0 lies "
        "there, the maps are wrong."
    )


def sample_at_center(header: ScanHeader, data: NDArray[np.complex64], center: int) -> int:
    """The index of the sample at k = 0 of a readout without embedded trajectory.

    It is `center`, unless this is 0 although the strongest sample lies in the middle: then it was never filled in, and
    is half the number of samples. Raises ScanError if the strongest sample lies elsewhere.

    Args:
        header: the header of the scan.
        data: (coils, samples).
        center: `center_sample`.

    """
    magnitude = np.sqrt((np.abs(data) ** 2).sum(0))
    n_samples, strongest = len(magnitude), int(np.argmax(magnitude))
    if center or strongest <= n_samples / 16:
        return center
    if magnitude[strongest] < STRONG_OVER_MEDIAN * np.median(magnitude):  # then only the length tells
        return n_samples // 2 if n_samples > SAME_LENGTH[0] * header.encoded_matrix[0] else center
    if abs(strongest - n_samples / 2) <= n_samples / 8:
        return n_samples // 2
    raise ScanError(
        f"center_sample is 0, but the strongest of the {n_samples} samples is number {strongest}: where k = 0 lies is "
        "unknown."
    )


def _edge(header: ScanHeader) -> float:
    """The edge of k-space of the recon matrix in cycles per field of view along x, the nearer one of both axes."""
    (nx, ny, _), (fov_x, fov_y, _) = header.recon_matrix, header.recon_fov_mm
    return min(nx, ny * fov_x / fov_y) / 2


def _kept(n_samples: int, center: int, spacing: float, header: ScanHeader) -> slice:
    reach = int(_edge(header) / spacing + 1.001)  # one sample beyond the edge: rounding and delays of gradients
    return slice(max(0, center - reach), min(n_samples, center + reach + 1))


def covered_fraction(sampling: ReadoutSampling, header: ScanHeader) -> float:
    """The extent of k-space that the samples cover, relative to that of the recon matrix."""
    return max(sampling.center, sampling.n_samples - sampling.center) * sampling.spacing / _edge(header)
