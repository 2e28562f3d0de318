"""Outliers: spokes that differ from their neighbours in the train by more than tissue can change between them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["FEWEST_NEIGHBOURS", "Outliers", "SpokeFeatures", "find_outliers", "runs", "spoke_features"]

FEWEST_NEIGHBOURS = 8
"""Least number of spokes among which outliers are searched."""
SPIKE_FACTOR = 20
"""Least ratio of a spike to the median of the neighbours' largest samples at the same place of the readout. It was at
most 7 in simulated scans without spikes (thigh, calf, pelvis, shoulder and abdomen; 4 to 34 coils)."""
SPIKE_SIZE = 0.05
"""Least size of a spike relative to the largest samples of its neighbours. A smaller one changes no map visibly."""
LARGEST_CHANGE = 0.6
"""Largest change of the samples at k = 0 from the median of the neighbours, relative to these. Tissue, gradient delays
and noise changed them by at most 0.34 in the same scans; a wrong sign changes them by 2, a lost spoke by 1."""
LARGEST_CHANGE_FACTOR = 5
"""Largest change relative to the median change of the neighbours, in data where all spokes vary more than that."""
FAINT = 0.25
"""Size, relative to the brightest spokes so far, that fainter samples at k = 0 are taken to have. Where tissue passes
through zero after the inversion, the signal changes by more than its size; a wrong sign there changes no map much."""
EARLIER_PEAKS = 3
"""Largest growth of the neighbours' largest samples since the earlier spokes that is taken as signal."""
CONTRAST_STEP = 0.2
"""Relative step of the flip angle above which the signal may jump."""
LONGEST_TR_MS = 80.0
"""Repetition time above which the signals of two excitations are not compared. The magnetisation of most tissues then
recovers by a tenth or more between them, and passes through zero within a few excitations."""
BIN_SAMPLES = 16
"""Samples of a readout whose largest one is compared with the neighbours' largest one."""


class SpokeFeatures(NamedTuple):
    """The few numbers of a spoke that are compared; those of several spokes have a first axis of spokes."""

    centre: NDArray[np.complex64]
    """(coils,) samples nearest to k = 0."""
    peaks: NDArray[np.float32]
    """(coils, bins) largest real or imaginary part in each piece of the readout."""


class Outliers(NamedTuple):
    """Masks (spokes,) of outliers, and what is usual."""

    spikes: NDArray[np.bool_]
    """Some samples are much larger than those of the neighbours."""
    strangers: NDArray[np.bool_]
    """The samples at k = 0 do not continue those of the neighbours."""
    usual: NDArray[np.float32]
    """(coils, bins) the usual peaks of these spokes, for those that follow."""
    size: float
    """The usual size of the samples at k = 0."""


def spoke_features(data: NDArray[np.complex64], k: NDArray[np.float32]) -> SpokeFeatures:
    """The features of a spoke: data (coils, samples), k (samples, 2) in cycles per field of view."""
    parts = np.abs(np.ascontiguousarray(data).view(np.float32))
    bins = np.arange(0, parts.shape[1], 2 * BIN_SAMPLES)
    nearest = int(np.einsum("sp,sp->s", k, k).argmin())
    return SpokeFeatures(data[:, nearest], np.maximum.reduceat(parts, bins, axis=1))


def runs(sequence: PulseSequence) -> NDArray[np.intp]:
    """The number of the run (spokes,) to which each spoke belongs. Within a run, the signal changes gradually.

    A run ends where the echo time changes, the flip angle jumps, or the repetition time is long.
    """
    flip, te = sequence.flip_angle_deg, sequence.te_ms
    largest = np.maximum(flip[1:], flip[:-1])
    ends = (np.diff(te) != 0) | (np.abs(np.diff(flip)) > CONTRAST_STEP * largest)
    ends |= sequence.tr_ms[:-1] > LONGEST_TR_MS
    return np.concatenate([[0], np.cumsum(ends)])


def find_outliers(spokes: SpokeFeatures, earlier: SpokeFeatures | None = None, brightest: float = 0.0) -> Outliers:
    """Compare neighbouring spokes of one run.

    Args:
        spokes: the features of all spokes, stacked along a first axis.
        brightest: the usual size of the samples at k = 0 where the slice was brightest so far.
        earlier: the samples at k = 0 of good spokes just before them in the same run, as many at most, and the usual
            peaks (coils, bins) there. With them, good spokes are the majority even if most neighbours are faulty.

    """
    centre = spokes.centre
    # this is much faster than np.median
    usual = np.partition(spokes.peaks, len(spokes.peaks) // 2, axis=0)[len(spokes.peaks) // 2]
    largest_usual = usual.max()
    size, change = _change(centre, FAINT * brightest)
    largest = max(LARGEST_CHANGE, LARGEST_CHANGE_FACTOR * float(_median(change)))
    if earlier is not None and len(earlier.centre):
        usual = np.minimum(usual, EARLIER_PEAKS * earlier.peaks)
        away = np.linalg.norm(complex_median(centre) - complex_median(earlier.centre)) / size
        if max(float(away), 2 * float(_median(change))) > LARGEST_CHANGE:
            both = _without_trend(np.concatenate([earlier.centre, centre]), len(earlier.centre))
            _, change_of_all = _change(both, FAINT * brightest)
            # if the signal itself changes that fast, there are not enough spokes that agree
            if np.percentile(change_of_all, 25) < LARGEST_CHANGE / LARGEST_CHANGE_FACTOR:
                change, largest = change_of_all[-len(centre) :], LARGEST_CHANGE
    spikes = (spokes.peaks > SPIKE_FACTOR * usual) & (spokes.peaks > SPIKE_SIZE * largest_usual)
    return Outliers(spikes.any((1, 2)), change > largest, usual, size)


def _without_trend(centre: NDArray[np.complex64], n_earlier: int) -> NDArray[np.complex64]:
    """Samples (spokes, coils) without the linear change that the first `n_earlier` of them have from spoke to spoke."""
    half = max(n_earlier // 2, 1)
    if n_earlier <= half:
        return centre
    slope = complex_median(centre[half:n_earlier] - centre[: n_earlier - half]) / half
    return np.asarray(centre - slope * np.arange(len(centre))[:, None], np.complex64)


def _change(centre: NDArray[np.complex64], least: float) -> tuple[float, NDArray[np.float32]]:
    """The usual size of the samples at k = 0, and the change (spokes,) of each from their median, relative to it."""
    size = max(float(_median(np.linalg.norm(centre, axis=1))), least, 1e-30)
    return size, np.linalg.norm(centre - complex_median(centre), axis=1) / size


def complex_median(values: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The median over the first axis, of real and imaginary parts separately."""
    parts = np.ascontiguousarray(values, np.complex64).view(np.float32)
    return np.ascontiguousarray(_median(parts)).view(np.complex64)


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median over the first axis. For few values, `np.median` needs several times as long."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high), axis=0)
    return np.asarray((ordered[low] + ordered[high]) / 2, values.dtype)
