"""Demodulation of recorded readouts: it shifts the frequency of the receiver afterwards."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["demodulate"]


def demodulate(
    data: NDArray[np.complex64], frequency_hz: float, dwell_us: float, center_sample: float
) -> NDArray[np.complex64]:
    """Remove the phase that a spin `frequency_hz` below water accrues along the readout. It is 0 at k = 0.

    The fat spectrum is about 400 Hz below water, which blurs fat by about one pixel. With a receiver frequency midway
    between water and fat, both are blurred by half a pixel, and errors that grow with the square of the blurring
    become four times smaller.

    Args:
        data: (coils, samples).
        frequency_hz: receiver frequency, counted downwards from water; 0 does not change the data.
        dwell_us: time from sample to sample.
        center_sample: index of the sample at k = 0, which is taken at the echo time.

    """
    time_s = (np.arange(data.shape[1]) - center_sample) * dwell_us * 1e-6
    return np.ascontiguousarray(data * np.exp(2j * np.pi * frequency_hz * time_s), np.complex64)
