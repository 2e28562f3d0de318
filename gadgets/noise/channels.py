"""The receiver channels as people call them."""

from collections.abc import Iterable

__all__ = ["channels"]


def channels(numbers: Iterable[int]) -> str:
    """The channels as text, counted from 1 as on the scanner: "channels 1 and 3"."""
    *some, last = [str(number + 1) for number in numbers]
    return f"channels {', '.join(some)} and {last}" if some else f"channel {last}"
