"""Jumps: the gain of the receiver, or the signal of one coil, is suddenly another one and stays so."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAINTEST", "Jump", "find_jumps"]

LEAST_STEP = 0.25
"""Least step of the signal at k = 0 of all coils, relative to its larger side: a factor of 0.75 or 1.33."""
LEAST_COIL_STEP = 0.5
"""Least step of one coil's signal at k = 0 relative to its larger side, when the step of all coils is taken out."""
TREND_FACTOR = 3
"""Least ratio of a step to the smaller one of those before and after it. Signals that approach a steady state change
gradually."""
NOISE_FACTOR = 8
"""Least ratio of a step to the median step of the slice."""
FAINTEST = {"ideal": 0.0, "gradient": 0.25, "balanced": 0.25}
"""Least signal of all coils that is judged, by the spoiling of the train, relative to the brightest block of the run.
Where the flip angles of a train without ideal spoiling let the signals of tissues pass through zero one after another,
each coil changes in its own way: up to 0.21 of the brightest block in simulated scans of brain and system phantom."""
WEAKEST_COIL = 0.2
"""Least signal of a coil that is judged, relative to the root mean square over coils."""


class Jump(NamedTuple):
    """A jump within a slice."""

    block: int
    """Index of the block of spokes in which it happens."""
    factor: complex
    """Signal after it over signal before it."""
    coils: tuple[int, ...]
    """The coils that jump; empty if all do."""


def find_jumps(
    levels: NDArray[np.complex64],
    runs: NDArray[np.intp],
    faintest: float = 0.0,
    tissues: NDArray[np.float64] | None = None,
) -> list[Jump]:
    """The largest jump of all coils, and the largest jump of single coils.

    Args:
        levels: (blocks, coils) median samples at k = 0 of successive blocks of spokes, as they were received.
        runs: (blocks,) the run of each block, see `spokestream.gadgets.spokes.outliers.runs`.
        faintest: least signal that is judged, relative to the brightest block of its run; see `FAINTEST`.
        tissues: (tissues, blocks) signals that the sequence gives tissues, from `tissue_levels`. The signal of all
            coils may change as much as these do; without them, all of a jump is unexpected.

    """
    if len(levels) < 3:
        return []
    relative = levels.astype(np.complex128) / max(float(np.abs(levels).max()), 1e-38)
    same_run = runs[2:] == runs[:-2]
    before, after = relative[:-2], relative[2:]  # the jump may be anywhere in the block between
    factor = _common_factor(before, after)
    expected = factor[:, None] * before
    common = np.abs(factor - 1) * np.linalg.norm(before, axis=1) * same_run
    size = np.maximum(np.linalg.norm(before, axis=1), np.linalg.norm(expected, axis=1))
    # where signals pass zero, the factor is large, and multiplies the noise of the levels before it
    single = np.abs(after - expected) * (same_run * np.sqrt(2 / (1 + np.abs(factor) ** 2)))[:, None]
    sizes = np.maximum(np.abs(after), np.abs(before))
    bright = (size > faintest * _brightest_of_run(relative, runs)[1:-1])[:, None]
    strong = sizes > WEAKEST_COIL * np.sqrt((sizes**2).mean(1, keepdims=True))
    unexpected = common if tissues is None else common * _unexpected(factor, tissues)
    jumps = []
    gains = _stands_out(common, same_run)[:, 0] & (unexpected > LEAST_STEP * size) & bright[:, 0]
    if gains.any():
        block = int(np.argmax(common * gains))
        jumps.append(Jump(block + 1, complex(factor[block]), ()))
    coils = _stands_out(single, same_run) & (single > LEAST_COIL_STEP * sizes) & strong & bright
    if coils.any():
        block = int(np.argmax((single * coils).max(1)))
        jumping = np.flatnonzero(coils[max(0, block - 1) : block + 2].any(0))
        largest = int(np.argmax(single[block] * coils[block]))
        ratio = after[block, largest] / (before[block, largest] or 1)
        jumps.append(Jump(block + 1, complex(ratio), tuple(int(coil) for coil in jumping)))
    return jumps


def _brightest_of_run(levels: NDArray[np.complex128], runs: NDArray[np.intp]) -> NDArray[np.float64]:
    """The largest norm (blocks,) of the levels (blocks, coils) in the run of each block."""
    norm = np.linalg.norm(levels, axis=1)
    brightest = np.zeros(int(runs.max()) + 1)
    np.maximum.at(brightest, runs, norm)
    return np.asarray(brightest[runs])


def _common_factor(before: NDArray[np.complex128], after: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The factor (blocks,) between levels (blocks, coils): that of the coil with which most others agree."""
    ratio = after / np.where(before == 0, 1, before)
    disagreement = np.abs(after[:, None] - ratio[:, :, None] * before[:, None]).sum(2)
    best = disagreement.argmin(1)
    return np.asarray(ratio[np.arange(len(ratio)), best])


def _unexpected(factor: NDArray[np.complex128], tissues: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part (blocks,) of the change from 1 to each factor that no mixture of tissues (tissues, blocks) shows.

    The signal of a mixture changes by a factor between those of its tissues. Where one of them passes through zero,
    there are no such limits, and all of a change is unexpected.
    """
    before, after = tissues[:, :-2], tissues[:, 2:]
    limited = (before * after > 0).all(0) & (np.abs(np.sign(before).sum(0)) == len(before))
    ratio = np.where(limited, after / np.where(limited, before, 1), 1)
    nearest = np.clip(factor.real, np.minimum(ratio.min(0), 1), np.maximum(ratio.max(0), 1))
    return np.asarray(np.abs(factor - nearest) / np.maximum(np.abs(factor - 1), 1e-30))


def _stands_out(step: NDArray[np.float64], same_run: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a step is much larger than that two blocks earlier or later in its run, and than the median one."""
    step = step.reshape(len(step), -1)
    nearby = np.full((len(step) + 4, step.shape[1]), np.inf)
    nearby[2:-2] = np.where(same_run[:, None], step, np.inf)
    around = np.minimum(nearby[:-4], nearby[4:])
    return np.asarray((step > TREND_FACTOR * around) & (step > NOISE_FACTOR * np.median(step, axis=0)))
