"""Moving the receiver frequency of a readout that has been recorded."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["demodulate"]


def demodulate(
    data: NDArray[np.complex64], frequency_hz: float, dwell_us: float, center_sample: float
) -> NDArray[np.complex64]:
    """Remove the phase that a spin `frequency_hz` below water accrues along the readout; none at k = 0.

    The fat spectrum lies some 400 Hz below water, which blurs fat by about one pixel. With the receiver midway between
    the two, each is blurred by half of that, and errors that grow with its square shrink fourfold.

    Args:
        data: (coils, samples).
        frequency_hz: receiver frequency below water's; 0 leaves the data as they are.
        dwell_us: time from sample to sample.
        center_sample: the sample at k = 0, taken at the echo time.

    """
    time_s = (np.arange(data.shape[1]) - center_sample) * dwell_us * 1e-6
    return np.ascontiguousarray(data * np.exp(2j * np.pi * frequency_hz * time_s), np.complex64)
