"""Demodulation of recorded readouts: it shifts the frequency of the receiver afterwards."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError

__all__ = ["check_dwell", "demodulate"]

SHORTEST_DWELL_US = 0.05
"""Shortest time between samples; receivers sample at 10 MHz at most."""


def check_dwell(dwell_us: float, n_samples: int, tr_ms: float) -> str | None:
    """None, or a warning if the dwell time was never filled in.

    Args:
        dwell_us: `sample_time_us`.
        n_samples: number of samples of a readout.
        tr_ms: the shortest TR, which is longer than a readout.

    Raises ScanError for a dwell time in another unit.

    """
    if dwell_us == 0:
        return "sample_time_us is 0, which was never filled in; readouts are not demodulated, and fat is blurred more."
    if dwell_us < SHORTEST_DWELL_US or dwell_us * n_samples * 1e-3 > tr_ms:
        raise ScanError(
            f"sample_time_us is {dwell_us:g}, so that a readout of {n_samples} samples takes "
            f"{dwell_us * n_samples * 1e-3:.3g} ms of a TR of {tr_ms:g} ms; is it in another unit?"
        )
    return None


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
    return data * _rotation(data.shape[1], frequency_hz, dwell_us, center_sample)


@lru_cache(maxsize=16)  # the spokes of a scan have one of few centres
def _rotation(n_samples: int, frequency_hz: float, dwell_us: float, center_sample: float) -> NDArray[np.complex64]:
    """The factor (samples,) of every sample."""
    time_s = (np.arange(n_samples) - center_sample) * dwell_us * 1e-6
    factor: NDArray[np.complex64] = np.exp(2j * np.pi * frequency_hz * time_s).astype(np.complex64)
    factor.flags.writeable = False
    return factor
