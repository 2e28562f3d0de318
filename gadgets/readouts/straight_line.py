"""The straight, evenly sampled line through k = 0 on which the samples of a spoke lie."""

import math

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError

__all__ = ["DamagedSpokeError", "check_line", "is_line", "step_of"]

MOST_OFF_LINE = 2
"""Samples by which a sample may always be away from the line."""
OFF_LINE = 1 / 40
"""Largest distance of a sample from its place on a straight, evenly sampled line through k = 0, relative to the length
of the spoke. Delays and eddy currents of gradients give at most a few samples."""

ON_LINE = 0.75
"""Fraction of the samples that lie on the line of a straight spoke if a few of its coordinates are damaged."""


class DamagedSpokeError(ScanError):
    """The positions of this spoke cannot be right, so that it must be left out."""


def is_line(k: NDArray[np.float64]) -> bool:
    """Whether most samples (samples, 2) lie evenly on a straight line, or too few are finite to tell."""
    finite = np.asarray(np.isfinite(k).all(axis=1))
    if len(k) < 3 or finite.sum() < ON_LINE * len(k) or not k[finite].any():
        return True
    step = np.nanmedian(np.diff(np.where(finite[:, None], k, np.nan), axis=0), axis=0)
    start = k[finite] - np.outer(np.flatnonzero(finite), step)
    off = np.abs(start - np.median(start, axis=0)).max(1)
    return bool(np.mean(off <= max(MOST_OFF_LINE, OFF_LINE * len(k)) * math.hypot(step[0], step[1])) > ON_LINE)


def step_of(k: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """The step (x, y) from sample to sample of a straight spoke. Raises DamagedSpokeError if it cannot be one."""
    if len(k) < 2 or not math.isfinite(k.sum()):
        raise DamagedSpokeError(f"The trajectory of spoke {index} holds values that are not finite.")
    step: NDArray[np.float64] = (k[-1] - k[0]) / (len(k) - 1)
    if not step.any():
        if not k.any():
            raise DamagedSpokeError(
                "The embedded trajectory is zero everywhere, so it was never filled in; the settings trajectory=golden "
                "and trajectory=angle compute it."
            )
        raise DamagedSpokeError(f"The trajectory of spoke {index} does not go from one end to another.")
    return step


def check_line(k: NDArray[np.float64], step: NDArray[np.float64], center: int, index: int, name: str) -> None:
    """Raise DamagedSpokeError unless the samples lie evenly on a straight line through k = 0, which is at `center`."""
    n_samples = len(k)
    off = np.abs(k - (np.arange(n_samples) - center)[:, None] * step).max() / math.hypot(step[0], step[1])
    if off > max(MOST_OFF_LINE, OFF_LINE * n_samples):
        raise DamagedSpokeError(
            f"The embedded trajectory of spoke {index} is no evenly sampled straight line through k = 0: a sample is "
            f"{off:.0f} samples away from it (the header's trajectory is '{name or 'unknown'}'); the lines of an image "
            "must come together, as one readout."
        )
