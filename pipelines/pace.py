"""The pace at which a scanner delivered a scan, from the time stamps of its acquisitions."""

from collections.abc import Iterable

import ismrmrd
import numpy as np

__all__ = ["scanner_pace"]

TICK_S = 2.5e-3
LONGEST_PAUSE_S = 60.0


def scanner_pace(acquisitions: Iterable[ismrmrd.Acquisition], speed: float) -> list[float]:
    """Seconds from every acquisition to the next, `speed` times as fast as stamped; 0 after the last.

    Raises ValueError when the speed is not positive.
    """
    if not 0 < speed < np.inf:
        raise ValueError(f"The speed must be positive, got {speed:g}.")
    ticks = np.array([acquisition.acquisition_time_stamp for acquisition in acquisitions], float)
    # stamps of other clocks, or of a day that ended, are no reason to wait for ever
    seconds = np.clip(np.diff(ticks, append=ticks[-1:]) * TICK_S, 0, LONGEST_PAUSE_S)
    return [float(s) for s in seconds / speed]
