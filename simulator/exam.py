"""A subject in the scanner: everything that is known before k-space is sampled."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from spokestream.simulator.acquisition.imperfections import delay_gradients, distort_trajectory, move
from spokestream.simulator.acquisition.noise import frame_noise_gain, mean_frame_signal, noise_sigma
from spokestream.simulator.acquisition.receive_coils import noise_covariance, receive_array
from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.acquisition.slice_profile import slice_profile
from spokestream.simulator.expansion.signal_expansion import TrainSignal
from spokestream.simulator.phantoms import DEFAULT_FOV_MM, MM_PER_LEVEL, Phantom, draw_subject, render
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.simulation_settings import SimulationSettings

__all__ = ["Exam"]


class Exam:
    """Subject, receive array, sequence and sampling of one simulated scan.

    Every source of randomness (subject, coils, noise, imperfections) has its own stream of random numbers, so that
    switching one on does not change the others. The noise level is set from the middle slice.

    Raises InputError for settings that cannot be scanned.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings
        self.protocol = settings.protocol()
        self.sequence = self.protocol.sequence
        self.nominal = self.protocol.readout()
        """The sample positions that the file gives."""
        self.actual = self._actual_readout()
        """The positions that are sampled, with gradient delays and trajectory errors."""
        self.signal: TrainSignal = partial(
            fingerprint,
            self.sequence,
            inversion_efficiency=settings.inversion_efficiency,
            slice_profile=slice_profile(settings.slice_profile),
        )
        self.subject = draw_subject(settings.population, settings.seed)
        self.sensitivities = receive_array(
            settings.coils, self.protocol.matrix, self.protocol.fov_mm, settings.seed, DEFAULT_FOV_MM[settings.anatomy]
        )
        """(coils, y, x)"""
        self.covariance = noise_covariance(settings.coils, settings.seed)
        self.sigma = self._sigma()
        """Standard deviation of noise in a whitened sample, per real and imaginary part."""

    def rng(self, *purpose: int) -> np.random.Generator:
        """Random numbers of the exam for one purpose; the same in every call."""
        return np.random.default_rng((self.settings.seed, *purpose))

    def phantom(self, index: int) -> Phantom:
        """The phantom of a slice; the patient may have moved between slices."""
        sd_mm = self.settings.motion_mm / np.sqrt(2)
        steps_mm = self.rng(3).normal(0, 1, (self.settings.slices, 2)) * sd_mm
        shift_mm = steps_mm[1 : index + 1].sum(0)
        pixels = np.round(shift_mm * self.protocol.matrix / self.protocol.fov_mm).astype(int)
        return move(self._still(index), (int(pixels[0]), int(pixels[1])))

    def drift_hz(self, index: int) -> NDArray[np.float64]:
        """The field drift (spokes,) at every spoke of a slice, in Hz."""
        start_ms = index * self.sequence.duration_ms + self.sequence.ti_ms
        fraction = (start_ms + np.cumsum(self.sequence.tr_ms)) / (self.settings.slices * self.sequence.duration_ms)
        return np.asarray(self.settings.drift_hz * fraction)

    def _actual_readout(self) -> Sampling:
        readout = delay_gradients(self.nominal, self.settings.delays) if any(self.settings.delays) else self.nominal
        if self.settings.trajectory_error:
            readout = distort_trajectory(readout, self.settings.trajectory_error, self.rng(2))
        return readout

    def _still(self, index: int) -> Phantom:
        settings, protocol = self.settings, self.protocol
        # a stack of slices that is longer than the anatomy is compressed to its length
        reach_mm = max(MM_PER_LEVEL[settings.anatomy], protocol.slice_offset_mm(settings.slices - 1))
        level = protocol.slice_offset_mm(index) / reach_mm
        return render(settings.anatomy, self.subject, level, protocol.matrix, protocol.fov_mm)

    def _sigma(self) -> float:
        if not self.settings.noise:
            return 0.0
        middle = self._still(self.settings.slices // 2)
        mean = mean_frame_signal(middle, self.sensitivities, self.sequence, self.signal, self.covariance)
        gain = frame_noise_gain(self.nominal, self.sequence.spokes_per_frame, middle.pd.shape)
        return noise_sigma(self.settings.noise, mean, gain)
