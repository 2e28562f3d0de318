"""Spoke quality: leaves out spokes that do not belong to their neighbours, and reports jumps of receivers."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import SliceEnd, Spoke
from spokestream.gadgets.noise.channels import channels
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.spokes.jumps import FAINTEST, find_jumps
from spokestream.gadgets.spokes.outliers import (
    FEWEST_NEIGHBOURS,
    Earlier,
    SpokeFeatures,
    complex_median,
    find_outliers,
    runs,
    spoke_features,
)
from spokestream.gadgets.spokes.scale import scale_exponent, scaled
from spokestream.gadgets.spokes.tissue_levels import tissue_levels

__all__ = ["SpokeQuality"]

Samples = NDArray[np.complex64]

BATCH = 8
"""Number of spokes that are judged together."""
WINDOW = 3
"""Number of batches among which they are judged: the one before them, their own and the one after them."""
EARLIER = 3
"""Number of batches before the window whose good spokes are compared as well."""
FARTHEST = 4 * WINDOW * BATCH
"""Largest distance in the train of spokes that are compared; farther ones may have another contrast."""
KINDS = {
    "empty": "with zeros only",
    "spikes": "with spikes or interference",
    "unlike_neighbours": "unlike their neighbours (in sign, gain or phase, or of another slice)",
}
"""What is wrong with a spoke, by the name of its count in the ledger."""
GOOD, (EMPTY, SPIKES, UNLIKE_NEIGHBOURS) = -1, range(len(KINDS))


@dataclass
class _Batch:
    """Successive spokes that are judged together; arrays are (spokes,)."""

    spokes: list[Spoke]
    features: SpokeFeatures
    indices: NDArray[np.intp]
    """Indices in the train."""
    runs: NDArray[np.intp]
    """The run of each spoke."""
    faults: NDArray[np.intp]
    """The kind of each spoke's fault, as its number in `KINDS`, or `GOOD`."""


class _Level(NamedTuple):
    """The signal of a block of spokes."""

    spoke: int
    """Index in the train of its first spoke."""
    run: int
    centre: NDArray[np.complex64]
    """(coils,) median sample at k = 0, whitened."""


class SpokeQuality(Gadget[Spoke | SliceEnd, Spoke | SliceEnd]):
    """Compares every spoke with those before and after it, and leaves out what cannot be of the same scan.

    Spokes wait until 8 to 16 later ones have come. Good spokes are passed on unchanged, except that samples of extreme
    size are multiplied by a power of two, which is the same in all slices.

    Args:
        scan: the scan.
        max_missing: largest fraction of a slice's spokes that may be missing, damaged or left out.
        as_received: gives the samples (coils, n) of the channels for whitened ones, so that warnings name channels.

    """

    accepts = (Spoke, SliceEnd)

    def __init__(
        self, scan: ScanContext, max_missing: float = 0.1, as_received: Callable[[Samples], Samples] = lambda x: x
    ) -> None:
        self._scan = scan
        self._as_received = as_received
        self._max_missing = max_missing
        self._runs = runs(scan.sequence)
        self._exponent: int | None = None
        self._waiting: list[tuple[Spoke, tuple[Samples, NDArray[np.float32]]]] = []
        """Spokes and their features, calculated while the samples are still in the processor's cache."""
        self._begin()

    def feed(self, message: Spoke | SliceEnd, /) -> Iterator[Spoke | SliceEnd]:
        """Hold back a spoke until later ones have come. At the end of the slice, pass on the rest and report."""
        if isinstance(message, Spoke):
            self._waiting.append((message, spoke_features(message.data, message.k)))
            if len(self._waiting) == BATCH:
                self._window.append(self._batch())
                if len(self._window) == WINDOW:
                    yield from self._judge(WINDOW - 1)
                    self._earlier.append(self._window.pop(0))
                    self._judged = 1
            return
        if self._waiting:
            self._window.append(self._batch())
        yield from self._judge(len(self._window))
        self._report(message.slice)
        self._begin()
        yield message

    def _begin(self) -> None:
        self._window: list[_Batch] = []
        self._judged = 0
        """Number of batches at the start of the window that are judged."""
        self._earlier: deque[_Batch] = deque(maxlen=EARLIER)
        self._usual_run, self._usual = -1, np.zeros(0, np.float32)
        self._brightest = 0.0
        self._faults: Counter[str] = Counter()
        self._good = 0
        self._levels: list[_Level] = []

    def _batch(self) -> _Batch:
        """The waiting spokes and their features, in their scale."""
        spokes = [spoke for spoke, _ in self._waiting]
        features = SpokeFeatures.stacked([features for _, features in self._waiting])
        self._waiting.clear()
        if self._exponent is None:
            self._choose_scale(features.peaks.max(1))
        if self._exponent:
            spokes = [replace(spoke, data=scaled(spoke.data, self._exponent)) for spoke in spokes]
            features = SpokeFeatures(scaled(features.centre, self._exponent), np.ldexp(features.peaks, self._exponent))
        indices = np.array([spoke.index for spoke in spokes])
        faults = np.where(features.peaks.any(1), GOOD, EMPTY)
        return _Batch(spokes, features, indices, self._runs[indices], faults)

    def _choose_scale(self, largest: NDArray[np.float32]) -> None:
        """Choose the scale of the whole scan from the largest samples of some spokes, unless all are empty."""
        if not largest.any():
            return
        self._exponent = scale_exponent(largest[largest > 0])
        if self._exponent:
            self._scan.provenance["scale"] = f"samples times 2^{self._exponent}"
            self._scan.log.info("The samples are multiplied by 2^%d.", self._exponent)

    def _judge(self, end: int) -> Iterator[Spoke]:
        """Judge the batches of the window before number `end`, and pass their good spokes on."""
        batches = self._window[self._judged : end]
        if not batches:
            return
        first = BATCH * self._judged
        judged = slice(first, first + sum(len(batch.spokes) for batch in batches))
        features = SpokeFeatures.joined([batch.features for batch in self._window])
        indices = np.concatenate([batch.indices for batch in self._window])
        of_run = np.concatenate([batch.runs for batch in self._window])
        faults = np.concatenate([batch.faults for batch in self._window])
        for run in set(of_run[judged].tolist()):
            to_judge = indices[judged][of_run[judged] == run]
            near = np.abs(indices - to_judge[len(to_judge) // 2]) <= FARTHEST
            members = np.flatnonzero((of_run == run) & near & (faults != EMPTY))
            if len(members) >= FEWEST_NEIGHBOURS:
                faults[members] = self._compare(run, int(indices[members[0]]), features.part(members))
        for i, batch in enumerate(batches):
            batch.faults = faults[first + BATCH * i :][: len(batch.spokes)]
            self._keep_level(batch)
            for spoke, fault in zip(batch.spokes, batch.faults.tolist(), strict=True):
                if fault == GOOD:
                    self._good += 1
                    yield spoke
                else:
                    self._faults[list(KINDS)[fault]] += 1

    def _compare(self, run: int, first: int, spokes: SpokeFeatures) -> NDArray[np.intp]:
        """The faults of spokes of one run, the first of which has this index in the train."""
        earlier = None
        if self._usual_run == run:
            centres = [
                batch.features.centre[
                    (batch.faults == GOOD) & (batch.runs == run) & (np.abs(first - batch.indices) <= EARLIER * BATCH)
                ]
                for batch in self._earlier
            ]
            earlier = Earlier(np.concatenate(centres), self._usual) if centres else None
        found = find_outliers(spokes, earlier, self._brightest)
        self._usual_run, self._usual = run, found.usual
        self._brightest = max(self._brightest, found.size)
        return np.where(found.spikes, SPIKES, np.where(found.strangers, UNLIKE_NEIGHBOURS, GOOD))

    def _keep_level(self, batch: _Batch) -> None:
        """Keep the median of the good spokes of a batch that lies within one run, for `find_jumps`."""
        good = batch.faults == GOOD
        runs = set(batch.runs[good].tolist())
        if np.count_nonzero(good) > BATCH // 2 and len(runs) == 1:
            level = complex_median(batch.features.centre[good])
            self._levels.append(_Level(int(batch.indices[good][0]), runs.pop(), level))

    def _report(self, number: int) -> None:
        """Count and warn of what was left out, and of jumps. Raises ScanError if too much was left out."""
        ledger, warn, n_spokes = self._scan.integrity, self._scan.log.warning, len(self._scan.sequence)
        words = ", ".join(f"{n} {KINDS[kind]}" for kind, n in sorted(self._faults.items()))
        for kind, n in sorted(self._faults.items()):
            ledger.note(number, kind, f"{n} of {n_spokes} spokes are left out: {n} {KINDS[kind]}", n)
        if words and n_spokes - self._good > self._max_missing * n_spokes:
            raise ScanError(
                f"Slice {number + 1}: {n_spokes - self._good} of {n_spokes} spokes are missing or unusable ({words}), "
                f"more than the {self._max_missing:.0%} that can be left out."
            )
        if words:
            left_out = self._faults.total()
            warn("Slice %d: %d of %d spokes were left out: %s.", number + 1, left_out, n_spokes, words)
        if not self._levels:
            return
        received = self._as_received(np.stack([level.centre for level in self._levels], axis=1)).T
        runs, sequence = np.array([level.run for level in self._levels]), self._scan.sequence
        jumps = find_jumps(received, runs, FAINTEST[sequence.spoiling])
        if jumps:  # only then, because the signals of a long train take a second
            tissues = tissue_levels(sequence, np.array([level.spoke for level in self._levels]), BATCH)
            jumps = find_jumps(received, runs, FAINTEST[sequence.spoiling], tissues)
        for jump in jumps:
            spoke, kind = self._levels[jump.block].spoke, "coil_jumps" if jump.coils else "gain_jumps"
            who = f"of {channels(jump.coils)} " if jump.coils else ""
            why = "was it switched off or exchanged" if jump.coils else "did the receiver gain change"
            factor, degrees = abs(jump.factor), np.angle(jump.factor, deg=True)
            phase = f" and {degrees:.0f} degrees" if factor > 0.1 and abs(degrees) > 10 else ""
            sentence = (
                f"the signal {who}suddenly changes by a factor of {factor:.2g}{phase} near spoke {spoke} ({why}?)"
            )
            ledger.note(number, kind, sentence)
            warn("Slice %d: %s; the maps may be wrong.", number + 1, sentence)
