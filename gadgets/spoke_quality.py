"""Spoke quality: leaves out spokes that do not belong to their neighbours, and reports jumps of receivers."""

from collections import Counter
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
from spokestream.gadgets.spokes.jumps import find_jumps
from spokestream.gadgets.spokes.outliers import (
    FEWEST_NEIGHBOURS,
    SpokeFeatures,
    complex_median,
    find_outliers,
    runs,
    spoke_features,
)
from spokestream.gadgets.spokes.scale import scale_exponent, scaled

__all__ = ["SpokeQuality"]

Samples = NDArray[np.complex64]

BATCH = 8
"""Number of spokes that are judged together."""
WINDOW = 3 * BATCH
"""Number of spokes in which they are judged: a batch, the one before it and the one after it."""
FARTHEST = 4 * WINDOW
"""Largest distance in the train of spokes that are compared; farther ones may have another contrast."""
KINDS = {
    "empty": "with zeros only",
    "spikes": "with spikes or interference",
    "unlike_neighbours": "unlike their neighbours (in sign, gain or phase, or of another slice)",
}
"""What is wrong with a spoke, by the name of its count in the ledger."""


@dataclass
class _Held:
    """A spoke in the window."""

    spoke: Spoke
    features: SpokeFeatures
    fault: str = ""
    """The kind of fault; empty for a good spoke."""


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
        self._waiting: list[Spoke] = []
        self._begin()

    def feed(self, message: Spoke | SliceEnd, /) -> Iterator[Spoke | SliceEnd]:
        """Hold back a spoke until later ones have come. At the end of the slice, pass on the rest and report."""
        if isinstance(message, Spoke):
            self._waiting.append(message)
            if len(self._waiting) == (BATCH if self._window else WINDOW):
                yield from self._judge(self._take(), last=False)
            return
        yield from self._judge(self._take(), last=True)
        self._report(message.slice)
        self._begin()
        yield message

    def _begin(self) -> None:
        self._window: list[_Held] = []
        self._earlier: list[_Held] = []
        self._usual_run, self._usual = -1, np.zeros((0, 0), np.float32)
        self._brightest = 0.0
        self._judged = 0
        self._faults: Counter[str] = Counter()
        self._good = 0
        self._levels: list[_Level] = []

    def _take(self) -> list[_Held]:
        """The waiting spokes in their scale, with their features."""
        waiting, self._waiting = self._waiting, []
        if self._exponent is None:
            self._choose_scale(waiting)
        if self._exponent:
            waiting = [replace(spoke, data=scaled(spoke.data, self._exponent)) for spoke in waiting]
        return [_Held(spoke, spoke_features(spoke.data, spoke.k)) for spoke in waiting]

    def _choose_scale(self, spokes: list[Spoke]) -> None:
        largest = [np.abs(spoke.data).max() for spoke in spokes if spoke.data.any()]
        if not largest:
            return
        self._exponent = scale_exponent(np.array(largest))
        if self._exponent:
            self._scan.provenance["scale"] = f"samples times 2^{self._exponent}"
            self._scan.log.info("The samples are multiplied by 2^%d.", self._exponent)

    def _judge(self, new: list[_Held], last: bool) -> Iterator[Spoke]:
        """Judge the spokes of the window that have enough neighbours after them, and pass the good ones on."""
        window = self._window = self._window + new
        begin, end = self._judged, len(window) if last else len(window) - BATCH
        numbers = np.array([held.spoke.index for held in window])
        holds = np.array([held.features.peaks.any() for held in window], bool)
        for run in np.unique(self._runs[numbers[begin:end]]):
            to_judge = [i for i in range(begin, end) if self._runs[numbers[i]] == run]
            near = np.abs(numbers - np.median(numbers[to_judge])) <= FARTHEST
            members = np.flatnonzero((self._runs[numbers] == run) & near & holds)
            if len(members) >= FEWEST_NEIGHBOURS:
                self._compare(run, members, begin, end)
        for held, full in zip(window[begin:end], holds[begin:end], strict=True):
            held.fault = held.fault if full else "empty"
        for first in range(begin, end, BATCH):
            self._keep_level(window[first : min(end, first + BATCH)])
        for held in window[begin:end]:
            if held.fault:
                self._faults[held.fault] += 1
            else:
                self._good += 1
                yield held.spoke
        before = [held for held in window[: max(0, end - BATCH)] if not held.fault]
        self._earlier = [*self._earlier, *before][-WINDOW:]
        self._window = window[max(0, end - BATCH) :]
        self._judged = min(end, BATCH)

    def _compare(self, run: int, members: NDArray[np.intp], begin: int, end: int) -> None:
        first = self._window[members[0]].spoke.index
        earlier = None
        if self._usual_run == run:
            near = [h for h in self._earlier if abs(first - h.spoke.index) <= WINDOW and self._run(h) == run]
            centre = np.array([held.features.centre for held in near])
            earlier = SpokeFeatures(centre, self._usual)
        features = [self._window[i].features for i in members]
        spokes = SpokeFeatures(np.stack([f.centre for f in features]), np.stack([f.peaks for f in features]))
        found = find_outliers(spokes, earlier, self._brightest)
        self._usual_run, self._usual = run, found.usual
        self._brightest = max(self._brightest, found.size)
        for i, spike, stranger in zip(members, found.spikes, found.strangers, strict=True):
            if begin <= i < end:
                self._window[i].fault = "spikes" if spike else "unlike_neighbours" if stranger else ""

    def _run(self, held: _Held) -> int:
        return int(self._runs[held.spoke.index])

    def _keep_level(self, block: list[_Held]) -> None:
        """Keep the median of the good spokes of a block that lies within one run, for `find_jumps`."""
        good = [held for held in block if not held.fault]
        run = {self._run(held) for held in good}
        if len(good) > BATCH // 2 and len(run) == 1:
            level = complex_median(np.stack([held.features.centre for held in good]))
            self._levels.append(_Level(good[0].spoke.index, run.pop(), level))

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
        jumps = find_jumps(received, np.array([level.run for level in self._levels]))
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
