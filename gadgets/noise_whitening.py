"""Noise whitening: decorrelates the coils with the noise covariance, which is measured by the scan's noise readouts."""

from collections.abc import Iterator

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.readouts.flags import is_imaging
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["NoiseWhitening", "noise_scale", "whitening_matrix"]


class NoiseWhitening(Gadget[ismrmrd.Acquisition, ismrmrd.Acquisition]):
    """Takes the noise readouts out of the stream, and gives later readouts white noise of unit variance.

    Without noise readouts the data are passed on unchanged, and the log says so.

    Args:
        scan: the scan.

    """

    accepts = (ismrmrd.Acquisition,)

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan
        self._power: NDArray[np.complex128] | None = None
        self._samples = 0
        self._noise_dwell_us = 0.0
        self._matrix: NDArray[np.complex64] | None = None
        self._settled = False

    def feed(self, message: ismrmrd.Acquisition, /) -> Iterator[ismrmrd.Acquisition]:
        """Add a noise readout to the covariance, or whiten an imaging readout."""
        if message.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            self._gather(message)
            return
        if not is_imaging(message):
            yield message  # other readouts may have other coils and another dwell time than the spokes
            return
        if not self._settled:
            self._settle(message)
        if self._matrix is not None and message.data.shape[0] == len(self._matrix):
            # readouts with another number of coils are passed on, because Readout counts or refuses them
            message = ismrmrd.Acquisition(message.getHead(), self._matrix @ message.data, message.traj)
        yield message

    def _gather(self, readout: ismrmrd.Acquisition) -> None:
        if self._settled:
            self._scan.log.warning("A noise readout came after the first spoke and was ignored.")
            return
        noise = np.asarray(readout.data, np.complex128)
        if not np.isfinite(noise).all():
            raise ScanError("A noise readout holds values that are not finite; the noise covariance is unknown.")
        power = noise @ noise.conj().T
        if self._power is None:
            self._power, self._noise_dwell_us = power, readout.sample_time_us
        elif self._power.shape == power.shape:
            self._power += power
        else:
            raise ScanError(f"Noise readouts have {len(self._power)} and {len(power)} coils.")
        self._samples += noise.shape[1]

    def _settle(self, first: ismrmrd.Acquisition) -> None:
        self._settled = True
        if self._power is None:
            self._scan.provenance["noise"] = "none: coils taken as uncorrelated and equally noisy"
            self._scan.log.info("The scan holds no noise readouts; coils are taken as uncorrelated.")
            return
        n_coils = len(self._power)
        if n_coils != first.active_channels:
            raise ScanError(f"Noise readouts have {n_coils} coils, the spokes have {first.active_channels}.")
        if self._samples < 2 * n_coils:
            raise ScanError(f"{self._samples} noise samples cannot give the covariance of {n_coils} coils.")
        scale = noise_scale(first.sample_time_us, self._noise_dwell_us, self._scan.header.noise_bandwidth)
        self._matrix = whitening_matrix(self._power / self._samples, scale)
        self._scan.provenance["noise"] = f"{self._samples} noise samples of {n_coils} coils"


def noise_scale(dwell_us: float, noise_dwell_us: float, noise_bandwidth: float) -> float:
    """The noise variance of a spoke's samples over that of a noise readout; it is proportional to the bandwidth."""
    if dwell_us > 0 and noise_dwell_us > 0 and noise_bandwidth > 0:
        return noise_dwell_us / dwell_us / noise_bandwidth
    return 1.0


def whitening_matrix(covariance: NDArray[np.complex128], scale: float) -> NDArray[np.complex64]:
    """The matrix W with W (scale · covariance) W^H = identity: the inverse of the Cholesky factor.

    Args:
        covariance: (coils, coils) <n n^H> of the noise readout, complex.
        scale: variance of the imaging samples over that of the noise samples.

    Raises:
        ScanError: if the covariance is singular, for instance because a coil is dead.

    """
    try:
        factor = np.linalg.cholesky(covariance * scale)
    except np.linalg.LinAlgError:
        raise ScanError("The noise covariance is singular: a coil is dead, or two carry the same signal.") from None
    return np.asarray(np.linalg.inv(factor), np.complex64)
