"""Delay correction: moves the spokes of a slice to where the delayed gradients have put them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import SliceEnd, SpokeBlock
from spokestream.gadgets.scan.context import ScanContext
from spokestream.gadgets.spokes.gradient_delays import SHORTEST_BLOCK, SPOKES, DelayEstimate, estimate_delays
from spokestream.gadgets.spokes.moved_spokes import moved
from spokestream.gadgets.spokes.outliers import runs

__all__ = ["DelayCorrection"]

LEAST_DELAY = 0.02
"""Delay in samples below which nothing is corrected. In simulated subjects, estimates were wrong by at most 0.012 at
noise 0.05 to 0.2 and 64 to 192 pixels."""
DEVIATION_FACTOR, LEAST_DEVIATION = 2.0, 0.002
"""The standard deviation of a delay is that of `estimate_delays` times the factor, and at least the second number: in
50 simulated subjects, errors were at most twice as large, because contrast is no exact polynomial in time."""
CERTAIN = 4.0
"""Standard deviations that a delay must be away from zero to be corrected."""
MOST_MISFIT = 0.15
"""Largest misfit of an estimate that is believed. It was at most 0.08 in the same subjects, at most 0.15 at 48 pixels,
and 0.28 or more where the estimate was wrong."""
NOTABLE, NOISY_MISFIT = 0.1, 0.5
"""Delay in samples above which a doubtful estimate is warned of, unless its misfit is above the second number: then the
spokes hold hardly more than noise, from which nothing follows."""


class DelayCorrection(Gadget[SpokeBlock | SliceEnd, SpokeBlock | SliceEnd]):
    """Estimates the gradients' delays from the first spokes of every slice, and corrects the positions of all spokes.

    The first spokes wait until there are 200, or half of a shorter train. Arms and whole images are passed on
    unchanged, and so are all spokes if the delays are small or uncertain.
    """

    accepts = (SpokeBlock, SliceEnd)

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan
        self._runs = runs(scan.sequence)
        self._needed = min(SPOKES, len(scan.sequence) // 2)
        fov = scan.header.recon_fov_mm
        self._fov_ratio = fov[1] / fov[0]
        self._held: list[SpokeBlock] = []
        self._decided = False
        self._delays: NDArray[np.float64] | None = None
        """What is corrected in this slice; None if nothing is."""

    def feed(self, message: SpokeBlock | SliceEnd, /) -> Iterator[SpokeBlock | SliceEnd]:
        """Hold back the first spokes of a slice, then correct them and all later spokes."""
        if isinstance(message, SliceEnd):
            if self._held:
                self._note("not estimated: too few spokes")
            yield from self._held
            self._held, self._decided, self._delays = [], False, None
            yield message
        elif message.density is not None or self._needed < SHORTEST_BLOCK:
            yield message
        elif self._decided:
            yield self._corrected(message)
        else:
            self._held.append(message)
            if sum(len(block.indices) for block in self._held) >= self._needed:
                self._decide()
                held = self._held
                self._held = []
                for block in held:
                    yield self._corrected(block)

    def _corrected(self, block: SpokeBlock) -> SpokeBlock:
        if self._delays is None:
            return block
        k, radii = moved(block.k, self._delays, self._fov_ratio)
        return replace(block, k=k, radii=radii)

    def _decide(self) -> None:
        """Decide from the spokes that wait whether the slice is corrected, and by how much."""
        self._decided = True
        estimate = estimate_delays(self._held, self._runs, self._fov_ratio)
        if estimate is None:
            self._note("not estimated: too few spokes of one contrast")
            return
        deviation = np.hypot(DEVIATION_FACTOR * estimate.deviation, LEAST_DEVIATION)
        clear = bool((np.abs(estimate.samples) > np.maximum(LEAST_DELAY, CERTAIN * deviation)).any())
        words = _words(estimate, deviation)
        number = self._held[0].slice + 1
        if clear and estimate.misfit < MOST_MISFIT:
            self._delays = estimate.samples
            self._note("corrected", words)
            self._scan.log.info("Slice %d: the gradients are delayed, which was corrected: %s.", number, words)
        elif clear and estimate.misfit < NOISY_MISFIT and np.abs(estimate.samples).max() > NOTABLE:
            self._note("uncertain, not corrected", words)
            self._scan.log.warning(
                "Slice %d: the gradients seem to be delayed (%s), but the spokes do not fit each other well enough to "
                "be certain. The trajectory was not corrected; check delays and center_sample of the sequence.",
                number, words,
            )  # fmt: skip
        else:
            self._note("none found", words)

    def _note(self, what: str, words: str = "unknown") -> None:
        """Write into the provenance, which the maps of this slice get, what was done."""
        self._scan.provenance["gradient_delays"] = what
        self._scan.provenance["gradient_delays_samples"] = words


def _words(estimate: DelayEstimate, deviation: NDArray[np.float64]) -> str:
    """The estimate as text."""
    return ", ".join(
        f"{axis} {value:.3f} +- {d:.3f}"
        for axis, value, d in zip(("x", "y", "coupling"), estimate.samples, deviation, strict=True)
    )
