"""Noise whitening: decorrelates the coils with the noise covariance, which is measured by the scan's noise readouts."""

from collections.abc import Iterator

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from spokestream.errors import ScanError
from spokestream.gadgets.gadget import Gadget
from spokestream.gadgets.messages import LeftOut
from spokestream.gadgets.noise.channels import channels
from spokestream.gadgets.noise.covariance import concentration, noise_scale, regularised, whitening_matrix
from spokestream.gadgets.readouts.flags import is_imaging
from spokestream.gadgets.scan.context import ScanContext

__all__ = ["NoiseWhitening"]

MOST_CONCENTRATED = 0.5
"""Largest fraction of a noise readout's energy in a twentieth of its samples. It is 0.20 in white noise, whatever the
coils' correlation; it was 0.9 in spokes of simulated thighs, and one spike that doubles the energy exceeds it."""
LEAST_NOISE = 1e-6
"""Least noise of a coil relative to the median sample of a spoke. Most samples of a spoke lie far from k = 0 and are at
most some hundred times larger than noise, so that a coil with less noise was not measured by the noise readouts."""
LEAST_POWER = 0.5
"""Least power of a spoke relative to the noise in it. Spokes contain that noise, so that the ratio is above 1."""


class NoiseWhitening(Gadget[ismrmrd.Acquisition, ismrmrd.Acquisition | LeftOut]):
    """Takes the noise readouts out of the stream, and gives later readouts white noise of unit variance.

    Without noise readouts the data are passed on unchanged, and the log says so. The same is done, with a warning, if
    the noise readouts cannot be of these spokes. Coils without noise are set to zero, with a warning.

    Args:
        scan: the scan.

    """

    accepts = (ismrmrd.Acquisition,)

    def __init__(self, scan: ScanContext) -> None:
        self._scan = scan
        self._power: NDArray[np.complex128] | None = None
        self._samples = 0
        self._concentration = 0.0
        self._noise_dwell_us = 0.0
        self._matrix: NDArray[np.complex64] | None = None
        self._settled = False
        self._left_out: set[int] = set()
        self._silent = np.zeros(0, np.intp)
        self._spokes = self._late = 0

    def feed(self, message: ismrmrd.Acquisition, /) -> Iterator[ismrmrd.Acquisition | LeftOut]:
        """Add a noise readout to the covariance, or whiten an imaging readout."""
        if message.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            if self._settled:
                self._late += 1
            else:
                self._gather(message)
            yield LeftOut(int(message.scan_counter))
            return
        if not is_imaging(message):
            yield message  # other readouts may have other coils and another dwell time than the spokes
            return
        if not self._settled and message.data.any() and np.isfinite(message.data).all():
            self._settle(message)
        self._count_silent(message.data)
        if self._matrix is not None and message.data.shape[0] == len(self._matrix):
            # readouts with another number of coils are passed on, because Readout counts or refuses them
            message = ismrmrd.Acquisition(message.getHead(), self._matrix @ message.data, message.traj)
        yield message

    def finish(self) -> Iterator[ismrmrd.Acquisition]:
        """Warn of late noise readouts, and of channels that gave only zeros in some of the spokes that hold signal."""
        if self._late:
            self._scan.log.warning("%d noise readouts came after the first spoke and were ignored.", self._late)
        for channel in np.flatnonzero(self._silent):
            if channel not in self._left_out:
                self._scan.log.warning(
                    "%s gave only zeros in %d of %d spokes; the maps may be noisier or wrong.",
                    channels([int(channel)]).capitalize(),
                    self._silent[channel],
                    self._spokes,
                )
        return iter(())

    def as_received(self, samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """The samples (coils, n) of the channels that become these samples when they are whitened."""
        return samples if self._matrix is None else np.asarray(np.linalg.pinv(self._matrix) @ samples, np.complex64)

    def _count_silent(self, data: NDArray[np.complex64]) -> None:
        """Count the channels that are zero in a spoke in which others are not."""
        if len(self._silent) != len(data):
            self._silent, self._spokes = np.zeros(len(data), np.intp), 0
        few = data[:, :: max(1, data.shape[1] // 8)]
        self._spokes += 1
        if not few.all() and data.any():
            self._silent += ~data.any(axis=1)

    def _gather(self, readout: ismrmrd.Acquisition) -> None:
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
        self._concentration = max(self._concentration, concentration(noise))

    def _settle(self, first: ismrmrd.Acquisition) -> None:
        """Compute the whitening matrix, which is applied to the first spoke and all later ones."""
        self._settled = True
        if self._power is None:
            self._scan.provenance["noise"] = "none: coils taken as uncorrelated and equally noisy"
            self._scan.log.info("The scan holds no noise readouts; coils are taken as uncorrelated.")
            return
        scale = noise_scale(first.sample_time_us, self._noise_dwell_us, self._scan.header.noise_bandwidth)
        covariance, spoke = self._power / self._samples * scale, np.asarray(first.data)
        if reason := self._useless(covariance, spoke):
            self._scan.provenance["noise"] = f"not used: {reason}"
            self._scan.log.warning(
                "The data were not whitened, because %s; coils are taken as uncorrelated and equally noisy.", reason
            )
            return
        self._matrix = self._whitening(covariance, spoke)
        self._scan.provenance["noise"] = f"{self._samples} noise samples of {len(covariance)} coils"

    def _useless(self, covariance: NDArray[np.complex128], spoke: NDArray[np.complex64]) -> str:
        """Why the noise readouts cannot be used for this spoke; an empty text if they can."""
        if len(covariance) != len(spoke):
            return f"the noise readouts have {len(covariance)} coils and the spokes have {len(spoke)}"
        if not _has_noise(covariance, spoke).any():
            return "the noise readouts hold no noise"
        if self._concentration > MOST_CONCENTRATED:
            return "the noise readouts hold signal or spikes instead of noise"
        return ""

    def _whitening(self, covariance: NDArray[np.complex128], spoke: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """The whitening matrix (coils, coils); the rows of coils that must be left out are zero."""
        warn, n_coils = self._scan.log.warning, len(covariance)
        if self._samples < 2 * n_coils:
            warn(
                "%d noise samples cannot give the noise covariance of %d coils; only the noise level of each was used.",
                self._samples,
                n_coils,
            )
            covariance = np.diag(np.diag(covariance))
        alive = np.flatnonzero(_has_noise(covariance, spoke))
        if len(alive) < n_coils:
            self._left_out = set(range(n_coils)) - set(alive.tolist())
            names = channels(sorted(self._left_out))
            warn("The noise readouts of %s hold no noise; the maps were computed without %s.", names, names)
        covariance, alike = regularised(covariance[np.ix_(alive, alive)])
        if alike:
            warn(
                "The noise of %s is not independent: some carry the same signal. Their covariance was regularised.",
                channels(alive[alike]),
            )
        matrix = np.zeros((n_coils, n_coils), np.complex64)
        matrix[np.ix_(alive, alive)] = whitening_matrix(covariance)
        power = float(np.mean(np.abs(matrix @ spoke) ** 2)) * n_coils / len(alive)
        if power < LEAST_POWER:
            warn(
                "The first spoke has only %.2g of the power of the noise readouts, although it contains such noise; "
                "the noise readouts may be of another gain.",
                power,
            )
        return matrix


def _has_noise(covariance: NDArray[np.complex128], spoke: NDArray[np.complex64]) -> NDArray[np.bool_]:
    """The coils (coils,) whose noise was measured."""
    median = np.median(np.abs(spoke.astype(np.complex128)), axis=1)
    return np.asarray(np.diag(covariance).real > (LEAST_NOISE * median) ** 2)
