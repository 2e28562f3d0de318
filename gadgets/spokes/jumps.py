"""Jumps: the gain of the receiver, or the signal of one coil, is suddenly another one and stays so."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Jump", "find_jumps"]

LEAST_STEP = 0.25
"""Least step of the logarithm of the signal at k = 0: a factor of 1.28."""
LEAST_COIL_STEP = 0.5
"""Least step of one coil's signal at k = 0 relative to its larger side, when the step of all coils is taken out."""
TREND_FACTOR = 3
"""Least ratio of a step to the steps before and after it. Signals that approach a steady state change gradually."""
NOISE_FACTOR = 8
"""Least ratio of a step to the median step of the slice."""
WEAKEST_COIL = 0.2
"""Least signal of a coil that is judged, relative to the root mean square over coils."""


class Jump(NamedTuple):
    """A jump within a slice."""

    block: int
    """Index of the block of spokes in which it happens."""
    factor: float
    """Signal after it over signal before it."""
    coils: tuple[int, ...]
    """The coils that jump; empty if all do."""


def find_jumps(levels: NDArray[np.complex64], runs: NDArray[np.intp]) -> list[Jump]:
    """The largest jump of all coils, and the largest jump of single coils.

    Args:
        levels: (blocks, coils) median samples at k = 0 of successive blocks of spokes, as they were received.
        runs: (blocks,) the run of each block, see `spokestream.gadgets.spokes.outliers.runs`.

    """
    if len(levels) < 3:
        return []
    return [*_gain_jump(levels, runs), *_coil_jump(levels, runs)]


def _gain_jump(levels: NDArray[np.complex64], runs: NDArray[np.intp]) -> list[Jump]:
    log = np.log(np.maximum(np.linalg.norm(levels, axis=1), 1e-30))
    step = _steps(log[:, None], runs)[:, 0]
    significant = _stands_out(np.abs(step)[:, None])[:, 0] & (np.abs(step) > LEAST_STEP)
    if not significant.any():
        return []
    first = int(np.argmax(np.where(significant, np.abs(step), 0)))
    return [Jump(first + 1, float(np.exp(step[first])), ())]


def _coil_jump(levels: NDArray[np.complex64], runs: NDArray[np.intp]) -> list[Jump]:
    before, after = levels[:-2], levels[2:]
    expected = _common_factor(before, after)[:, None] * before
    residual = np.abs(after - expected)
    residual[runs[2:] != runs[:-2]] = 0
    size = np.maximum(np.abs(after), np.abs(expected))
    strong = size > WEAKEST_COIL * np.sqrt((size**2).mean(1, keepdims=True))
    jumping = strong & (residual > LEAST_COIL_STEP * size) & _stands_out(residual)
    if not jumping.any():
        return []
    first = int(np.argmax((residual * jumping).max(1)))
    coils = np.flatnonzero(jumping[max(0, first - 1) : first + 2].any(0))
    strongest = coils[np.argmax(residual[first][coils])]
    factor = float(np.abs(after[first, strongest]) / max(float(np.abs(before[first, strongest])), 1e-30))
    return [Jump(first + 1, factor, tuple(int(coil) for coil in coils))]


def _common_factor(before: NDArray[np.complex64], after: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The factor (blocks,) between levels (blocks, coils): that of the coil with which most others agree."""
    ratio = after / np.where(before == 0, 1, before)
    disagreement = np.abs(after[:, None] - ratio[:, :, None] * before[:, None]).sum(2)
    best = disagreement.argmin(1)
    return np.asarray(ratio[np.arange(len(ratio)), best])


def _steps(values: NDArray[np.float64], runs: NDArray[np.intp]) -> NDArray[np.float64]:
    """The steps (blocks - 2, ...) over the blocks between; 0 over the end of a run."""
    return np.where((runs[2:] == runs[:-2])[:, None], values[2:] - values[:-2], 0)


def _stands_out(step: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a step is much larger than those two blocks earlier and later, and than the median one."""
    around = np.zeros_like(step)
    around[2:] = step[:-2]
    around[:-2] = np.maximum(around[:-2], step[2:])
    return np.asarray((step > TREND_FACTOR * around) & (step > NOISE_FACTOR * np.median(step, axis=0)))
