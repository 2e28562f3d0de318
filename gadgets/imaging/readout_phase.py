"""The phase that signal gathers along a readout, as a sum of a few polynomials of the time in it.

A spin that is nu below the frequency of the receiver gathers the phase exp(-2 pi i nu t) until the time t from the
echo. Let t = u T with -1 <= u <= 1, where T is the time from the echo to the end of the readout. By the expansion of
Jacobi and Anger (Abramowitz and Stegun, equations 9.1.44 and 9.1.45), with theta = 2 pi nu T,

    exp(-i theta u) = J_0(theta) + 2 sum over m of (-i)^m J_m(theta) T_m(u),

with Bessel functions J and Chebyshev polynomials T_m. The time and the frequency are separated: the samples of a slice
with any frequencies are those of a few images, each weighted along its readouts by one polynomial.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import jv

__all__ = ["ORDER", "phase_coefficients", "polynomials"]

ORDER = 2
"""Highest polynomial. A phase of 1 radian at the ends, that of fat 220 Hz from the receiver after 0.7 ms, is 4 % wrong
there. With orders 3 and 4, the maps of a thigh of 350 pixels had the same errors."""


def polynomials(u: NDArray[np.floating]) -> NDArray[np.float64]:
    """The Chebyshev polynomials (ORDER + 1, ...) at times u (...) from the echo, at most 1."""
    order = np.arange(ORDER + 1).reshape(-1, *[1] * u.ndim)
    return np.asarray(np.cos(order * np.arccos(u.clip(-1, 1))))


def phase_coefficients(below_hz: ArrayLike, half_readout_s: float) -> NDArray[np.complex64]:
    """The factors (ORDER + 1, ...) of the polynomials for signal at frequencies below that of the receiver (...).

    Args:
        below_hz: frequencies below that of the receiver.
        half_readout_s: time from the echo to the end of the readout.

    """
    theta = 2 * np.pi * np.asarray(below_hz, np.float64) * half_readout_s
    return np.stack([(2 - (m == 0)) * (-1j) ** m * jv(m, theta) for m in range(ORDER + 1)]).astype(np.complex64)
