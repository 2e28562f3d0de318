"""Whether a scan comes faster than its scanner measured it."""

from collections.abc import Callable
from time import monotonic

import ismrmrd

from spokestream.pipelines.client import TICK_S

__all__ = ["Pace"]

AHEAD_S = 1.0
"""Time by which the stamps of readouts must be ahead of the clock. A scanner, which may send late what it has measured,
is never ahead; a replay is after some hundred readouts."""


class Pace:
    """Compares the time stamps of the readouts of a scan with the clock.

    Args:
        clock: gives the time in seconds.

    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def is_ahead(self, header: object) -> bool:
        """Whether a readout with this header comes before its scanner can have measured it, so that it is a replay."""
        if not isinstance(header, ismrmrd.AcquisitionHeader):
            return False
        now, stamp = self._clock(), int(header.acquisition_time_stamp)
        if self._first is None:
            self._first = now, stamp
        begin, first = self._first
        return (stamp - first) * TICK_S - (now - begin) > AHEAD_S
