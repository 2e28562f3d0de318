"""Values along a train of spokes, from the short notation of sequence files.

A number is the value of every spoke, a list has one value for each spoke, and a table names a pattern and its numbers:
`{ ramp = [5, 20] }`, `{ sine = [5, 35], phase_deg = [0, 180] }`, `{ through = [[0, 5], [99, 20]] }`,
`{ smooth = [11.5, 14.5], seed = 1, swing_spokes = 50 }`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import FileError

__all__ = ["ramp", "sine", "smooth", "through", "train_values"]

Train = NDArray[np.float64]

LARGEST = 1e9
"""Limit of all numbers, far above any time, angle or number of spokes."""
DECIMALS = 2
"""Decimals of random values, because scanners time gradients in steps of 10 µs."""


def ramp(spokes: int, ends: list[float]) -> Train:
    """A line (spokes,) from the first to the last spoke, which have the values `ends`."""
    first, last = _numbers(ends, 2, "ramp")
    return np.linspace(first, last, spokes)


def sine(spokes: int, levels: list[float], phase_deg: list[float] | None = None) -> Train:
    """Base + (peak - base) sin(phase), with levels (base, peak): (spokes,).

    The phase is linear between those of the first and the last spoke, which are given in `phase_deg`. Without it, this
    is half a sine that starts one step above the base and ends at the base, so that lobes can follow each other.
    """
    base, peak = _numbers(levels, 2, "sine")
    first, last = (180 / spokes, 180) if phase_deg is None else _numbers(phase_deg, 2, "phase_deg")
    return np.asarray(base + (peak - base) * np.sin(np.deg2rad(np.linspace(first, last, spokes))))


def through(spokes: int, knots: list[list[float]]) -> Train:
    """A curve (spokes,) through knots (spoke, value), flat at each knot, with half a cosine between two knots.

    Raises FileError unless the knots are in order, from the first spoke (0) to the last.
    """
    if not isinstance(knots, list) or len(knots) < 2:
        raise FileError("through takes at least two knots [spoke, value]")
    where, value = np.array([_numbers(knot, 2, "a knot of through") for knot in knots]).T
    if where[0] != 0 or where[-1] != spokes - 1 or np.any(np.diff(where) <= 0):
        raise FileError(f"the knots of through must go in order from spoke 0 to {spokes - 1}")
    spoke = np.arange(spokes)
    piece = np.clip(np.searchsorted(where, spoke, side="right") - 1, 0, len(where) - 2)
    part = (spoke - where[piece]) / (where[piece + 1] - where[piece])
    return np.asarray(value[piece] + (value[piece + 1] - value[piece]) * (1 - np.cos(np.pi * part)) / 2)


def smooth(spokes: int, limits: list[float], seed: int = 0, swing_spokes: float = 50) -> Train:
    """A smooth random curve (spokes,) that reaches both of its limits (lowest, highest).

    It is a sum of eight waves with random phases, of which the shortest has a period of `swing_spokes` spokes. Papers
    call it a Perlin noise pattern and do not print it. Values are multiples of 0.01, so that they are equal on every
    machine for the same seed.
    """
    low, high = _numbers(limits, 2, "smooth")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise FileError("the seed of smooth must be a whole number, not negative")
    (swing,) = _numbers([swing_spokes], 1, "swing_spokes")
    if swing <= 0:
        raise FileError("swing_spokes must be positive")
    rng = np.random.default_rng(seed)
    waves = 1 / (swing * np.arange(1, 9))
    phase = 2 * np.pi * rng.random(len(waves))
    curve = np.sum(np.sin(2 * np.pi * waves * np.arange(spokes)[:, None] + phase), axis=1)
    span = np.ptp(curve) or 1.0
    return np.asarray(np.round(low + (high - low) * (curve - curve.min()) / span, DECIMALS))


PATTERNS: dict[str, tuple[Callable[..., Train], tuple[str, ...]]] = {
    "ramp": (ramp, ()),
    "sine": (sine, ("phase_deg",)),
    "through": (through, ()),
    "smooth": (smooth, ("seed", "swing_spokes")),
}
"""Name -> the pattern and the names of its other parameters."""


def train_values(written: Any, spokes: int) -> Train:
    """The values (spokes,) given by a number, a list or the table of a pattern.

    Raises FileError, in words, for anything else.
    """
    if isinstance(written, list):
        if len(written) != spokes:
            raise FileError(f"a list must have one value for each of {spokes} spokes, not {len(written)}")
        return np.array(_numbers(written, spokes, "a list"))
    if not isinstance(written, dict):
        return np.full(spokes, _numbers([written], 1, "it")[0])
    names = [name for name in written if name in PATTERNS]
    if len(names) != 1:
        raise FileError(f"a pattern is one of {', '.join(PATTERNS)}, not {sorted(written)}")
    pattern, settings = PATTERNS[names[0]]
    rest = {key: value for key, value in written.items() if key != names[0]}
    if not rest.keys() <= set(settings):
        raise FileError(f"{names[0]} takes {' and '.join(settings) or 'nothing'} besides, not {sorted(rest)}")
    return pattern(spokes, written[names[0]], **rest)


def _numbers(values: Any, count: int, what: str) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise FileError(f"{what} takes {count} numbers, not {values!r:.60}")
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise FileError(f"{what} takes numbers, not {values!r:.60}")
    if not all(abs(v) < LARGEST for v in values):
        raise FileError(f"{what} takes finite numbers, not {values!r:.60}")
    return [float(v) for v in values]
