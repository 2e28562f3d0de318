"""Numbers as a report writes them: the same rule as in `words.js`, which writes them in the browser."""

import math

__all__ = ["like", "number"]


def number(value: float, unit: str) -> str:
    """A value without its unit, with as many digits as maps are precise; a dash if it is not finite.

    Dimensionless numbers and radians get three decimals, arbitrary units three significant digits, all others one
    decimal below 100 and none above.
    """
    if not math.isfinite(value):
        return "–"
    if unit in ("1", "rad"):
        return f"{value:.3f}"
    if unit == "a.u.":
        return f"{float(f'{value:.3g}'):g}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def like(value: float, spread: str, unit: str) -> str:
    """A value with as many decimals as its standard deviation, which is given as `number` writes it."""
    if spread == "–" or "e" in spread or not math.isfinite(value):
        return number(value, unit)
    return f"{value:.{len(spread.partition('.')[2])}f}"
