"""Memory of grids that a process keeps from one scan to the next.

The system clears every page that a process gets, and a virtual machine may have to ask its host for it. For the grids
of a slice of 350 x 350 pixels, 218 MB, that took .4 s of processor time on such a machine after some seconds of rest, a
sixth of the whole chain.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEPT_GRIDS", "KeptGrids"]

MOST_SURPLUS = 2
"""How many times larger than needed kept memory may be; the memory of a scan is planned for what it needs."""


class KeptGrids:
    """At most one array of grids that nobody uses. Any thread may take it or give one."""

    def __init__(self) -> None:
        self.most_bytes = 0
        """Size above which arrays are not kept; 0 keeps none."""
        self._kept: deque[NDArray[np.complex64]] = deque(maxlen=1)

    def take(self, shape: tuple[int, ...]) -> NDArray[np.complex64]:
        """An array with arbitrary contents. What is kept and has another size is released."""
        n = math.prod(shape)
        try:
            kept = self._kept.pop()
        except IndexError:
            kept = np.empty(0, np.complex64)
        if not n <= kept.size <= MOST_SURPLUS * n:
            kept = np.empty(n, np.complex64)
        return kept[:n].reshape(shape)

    def give(self, grids: NDArray[np.complex64]) -> None:
        """Keep an array from `take` for the next scan, unless it is too large. The caller must not use it any more."""
        whole = grids.base
        if isinstance(whole, np.ndarray) and whole.nbytes <= self.most_bytes:
            self._kept.append(whole)


KEPT_GRIDS = KeptGrids()
"""Those of this process."""
