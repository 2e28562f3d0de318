"""Outliers: spokes that differ from their neighbours in the train by more than tissue can change between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["FEWEST_NEIGHBOURS", "Earlier", "Outliers", "SpokeFeatures", "find_outliers", "runs", "spoke_features"]

FEWEST_NEIGHBOURS = 8
"""Least number of spokes among which outliers are searched."""
SPIKE_FACTOR = 20
"""Least ratio of a spike to the median of the neighbours' largest samples at the same place of the readout. It was at
most 4.4 in simulated scans without spikes (thigh, calf, pelvis, shoulder and abdomen; 4 to 34 coils)."""
SPIKE_SIZE = 0.05
"""Least size of a spike relative to the largest samples of its neighbours. A smaller one changes no map visibly."""
LARGEST_CHANGE = 0.6
"""Largest change of the samples at k = 0 from the median of the neighbours, relative to these. Tissue, gradient delays
and noise changed them by at most 0.34 in the same scans; a wrong sign changes them by 2, a lost spoke by 1."""
LEAST_STEP = LARGEST_CHANGE / 2
"""Least change from one spoke to the next where a fault begins or ends. Signals of gradient-spoiled trains change more
than `LARGEST_CHANGE` within the window just after an inversion, but gradually."""
LARGEST_CHANGE_FACTOR = 5
"""Largest change relative to the median change of the neighbours, in data where all spokes vary more than that."""
FAINT = 0.25
"""Size, relative to the brightest spokes so far, that fainter samples at k = 0 are taken to have. Where tissue passes
through zero after the inversion, the signal changes by more than its size; a wrong sign there changes no map much."""
EARLIER_PEAKS = 3
"""Largest growth of the neighbours' largest samples since the earlier spokes, and of a whole spoke over its neighbours,
that `SPIKE_FACTOR` has room for."""
CONTRAST_STEP = 0.2
"""Relative step of the flip angle above which the signal may jump."""
LONGEST_TR_MS = 80.0
"""Repetition time above which the signals of two excitations are not compared. The magnetisation of most tissues then
recovers by a tenth or more between them, and passes through zero within a few excitations."""
BIN_SAMPLES = 16
"""Samples of a readout whose largest one is compared with the neighbours' largest one."""


class SpokeFeatures(NamedTuple):
    """The few numbers of spokes that are compared."""

    centre: NDArray[np.complex64]
    """(spokes, coils) samples nearest to k = 0."""
    peaks: NDArray[np.float32]
    """(spokes, bins) largest real or imaginary part of all coils in each piece of the readout."""

    @classmethod
    def stacked(cls, spokes: Sequence[tuple[NDArray[np.complex64], NDArray[np.float32]]]) -> "SpokeFeatures":
        """The features of several spokes, each (coils,) and (bins,), as one."""
        return cls(np.array([centre for centre, _ in spokes]), np.array([peaks for _, peaks in spokes]))

    @classmethod
    def joined(cls, parts: Sequence["SpokeFeatures"]) -> "SpokeFeatures":
        """The parts one after another, as one."""
        return cls(np.concatenate([part.centre for part in parts]), np.concatenate([part.peaks for part in parts]))

    def part(self, which: NDArray[np.intp]) -> "SpokeFeatures":
        """The features of some of the spokes."""
        return SpokeFeatures(self.centre[which], self.peaks[which])


class Outliers(NamedTuple):
    """Masks (spokes,) of outliers, and what is usual."""

    spikes: NDArray[np.bool_]
    """Some samples are much larger than those of the neighbours."""
    strangers: NDArray[np.bool_]
    """The samples at k = 0 do not continue those of the neighbours."""
    usual: NDArray[np.float32]
    """(bins,) the usual peaks of these spokes, for those that follow."""
    size: float
    """The usual size of the samples at k = 0."""


class Earlier(NamedTuple):
    """Good spokes just before those that are compared."""

    centre: NDArray[np.complex64]
    """(spokes, coils) samples nearest to k = 0."""
    usual: NDArray[np.float32]
    """(bins,) the usual peaks there."""


def spoke_features(
    data: NDArray[np.complex64], k: NDArray[np.float32]
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """The features of one spoke, (coils,) and (bins,): data (coils, samples), k (samples, 2) in cycles per FOV."""
    nearest = int(np.abs(k.view(np.complex64)[:, 0]).argmin())
    largest = np.abs(data.view(np.float32)).max(0)  # of all coils: per coil, this takes several times as long
    return data[:, nearest], np.maximum.reduceat(largest, np.arange(0, len(largest), 2 * BIN_SAMPLES))


def runs(sequence: PulseSequence) -> NDArray[np.intp]:
    """The number of the run (spokes,) to which each spoke belongs. Within a run, the signal changes gradually.

    A run ends where the echo time changes, the flip angle jumps, or the repetition time is long.
    """
    flip, te = sequence.flip_angle_deg, sequence.te_ms
    largest = np.maximum(flip[1:], flip[:-1])
    ends = (np.diff(te) != 0) | (np.abs(np.diff(flip)) > CONTRAST_STEP * largest)
    ends |= sequence.tr_ms[:-1] > LONGEST_TR_MS
    return np.concatenate([[0], np.cumsum(ends)])


def find_outliers(spokes: SpokeFeatures, earlier: Earlier | None = None, brightest: float = 0.0) -> Outliers:
    """Compare neighbouring spokes of one run.

    Args:
        spokes: the features of the spokes.
        earlier: good spokes just before them in the same run, as many at most. With them, good spokes are the majority
            even if most neighbours are faulty.
        brightest: the usual size of the samples at k = 0 where the slice was brightest so far.

    """
    centre, half = spokes.centre, len(spokes.peaks) // 2
    usual = np.sort(spokes.peaks, axis=0)[half]
    largest_usual = usual.max()
    of_run = _Change.of(centre, FAINT * brightest)
    typical = float(_median(of_run.relative))
    change, largest = of_run.relative, max(LARGEST_CHANGE, LARGEST_CHANGE_FACTOR * typical)
    if earlier is not None and len(earlier.centre):
        usual = np.minimum(usual, EARLIER_PEAKS * earlier.usual)
        away = _norms(of_run.median - complex_median(earlier.centre)) / of_run.size
        if max(float(away), 2 * typical) > LARGEST_CHANGE:
            both = _without_trend(np.concatenate([earlier.centre, centre]), len(earlier.centre))
            change_of_all = _Change.of(both, FAINT * brightest).relative
            # if the signal itself changes that fast, there are not enough spokes that agree
            if np.percentile(change_of_all, 25) < LARGEST_CHANGE / LARGEST_CHANGE_FACTOR:
                change, largest = change_of_all[-len(centre) :], LARGEST_CHANGE
    strangers = change > largest
    if strangers.any() and not _has_step(
        centre if earlier is None else np.concatenate([earlier.centre, centre]), of_run
    ):
        strangers[:] = False  # the signal itself changes from one end of the window to the other
    # a spoke that is much brighter as a whole has no spike
    growth = np.maximum(_norms(centre) / (EARLIER_PEAKS * of_run.size), 1)[:, None]
    spikes = spokes.peaks > np.maximum(SPIKE_FACTOR * usual, SPIKE_SIZE * largest_usual) * growth
    return Outliers(spikes.any(1), strangers, usual, of_run.size)


class _Change(NamedTuple):
    """How the samples at k = 0 vary from spoke to spoke."""

    size: float
    """Their usual size."""
    median: NDArray[np.complex64]
    """(coils,)"""
    relative: NDArray[np.float32]
    """(spokes,) the change of each spoke from the median, relative to the size."""

    @classmethod
    def of(cls, centre: NDArray[np.complex64], least: float) -> "_Change":
        """The change of samples (spokes, coils), whose size is taken to be `least` at least."""
        size, median = max(float(_median(_norms(centre))), least, 1e-30), complex_median(centre)
        return cls(size, median, _norms(centre - median) / size)


def _has_step(centre: NDArray[np.complex64], change: _Change) -> bool:
    """Whether any of the samples (spokes, coils) differs from the one before it as much as a fault does."""
    return bool((_norms(np.diff(centre, axis=0)) > LEAST_STEP * change.size).any())


def _without_trend(centre: NDArray[np.complex64], n_earlier: int) -> NDArray[np.complex64]:
    """Samples (spokes, coils) without the linear change that the first `n_earlier` of them have from spoke to spoke."""
    half = max(n_earlier // 2, 1)
    if n_earlier <= half:
        return centre
    slope = complex_median(centre[half:n_earlier] - centre[: n_earlier - half]) / half
    return np.asarray(centre - slope * np.arange(len(centre))[:, None], np.complex64)


def complex_median(values: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The median over the first axis, of real and imaginary parts separately."""
    parts = np.ascontiguousarray(values, np.complex64).view(np.float32)
    return np.ascontiguousarray(_median(parts)).view(np.complex64)


def _norms(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The norms over the last axis."""
    parts = np.ascontiguousarray(values).view(np.float32)
    return np.asarray(np.sqrt(np.einsum("...c,...c->...", parts, parts)))


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median over the first axis. For few values, `np.median` needs several times as long."""
    ordered = np.sort(values, axis=0)
    return np.asarray((ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2, values.dtype)
