"""Whether a scan comes faster than its scanner measured it."""

from collections.abc import Callable
from time import monotonic

import ismrmrd

from spokestream.pipelines.client import TICK_S

__all__ = ["Pace"]

AHEAD_S = 1.0
"""Time by which the stamps of readouts must be ahead of the clock. A scanner, which may send late what it has measured,
is never ahead; a replay is after some hundred readouts."""
OF_ITS_TIME = 0.5
"""A whole scan that has come in less than this part of the time that it was measured in is a replay, however short."""


class Pace:
    """Compares the time stamps of the readouts of a scan with the clock.

    Args:
        clock: gives the time in seconds.

    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._measured_s = 0.0
        """Time from the first to the last readout by their stamps."""

    def is_ahead(self, header: object) -> bool:
        """Whether a readout with this header comes before its scanner can have measured it, so that it is a replay."""
        if not isinstance(header, ismrmrd.AcquisitionHeader):
            return False
        now, stamp = self._clock(), int(header.acquisition_time_stamp)
        if self._first is None:
            self._first = now, stamp
        begin, first = self._first
        self._measured_s = (stamp - first) * TICK_S
        return self._measured_s - (now - begin) > AHEAD_S

    def was_ahead(self) -> bool:
        """Whether the scan, all of whose readouts have come, was a replay."""
        return self._first is not None and self._clock() - self._first[0] < OF_ITS_TIME * self._measured_s
