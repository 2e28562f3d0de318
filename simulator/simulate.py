"""A whole simulated scan: subject, coil array and sequence in; ISMRMRD file with its truth beside it out."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from simulator.coils import noise_covariance, receive_array
from simulator.expansion import TrainSignal
from simulator.fingerprint import fingerprint
from simulator.imperfections import (
    corrupt,
    delay_gradients,
    distort_trajectory,
    drift_phase,
    lose_and_repeat,
    move,
)
from simulator.noise import add_noise, frame_noise_gain, mean_frame_signal, noise_sigma
from simulator.phantoms import MM_PER_LEVEL, Phantom, draw_subject, render
from simulator.protocol import Protocol
from simulator.readout import Readout
from simulator.scan_file import (
    append_acquisitions,
    create_scan,
    create_truth,
    noise_acquisitions,
    slice_acquisitions,
    truth_path,
    write_truth,
)
from simulator.scanner import acquire
from simulator.simulation_settings import SimulationSettings
from simulator.slice_profile import slice_profile

__all__ = ["SimulationSettings", "simulate_scan"]

NOISE_READOUTS = 8


def simulate_scan(path: Path, settings: SimulationSettings, progress: Progress | None = None) -> None:
    """Write a scan of a subject to `path` and the true maps beside it, holding one slice in memory at a time.

    The noise readouts come first, unless there is no noise. Its level is set once, on the middle slice. Every source
    of chance (subject, coils, noise, imperfections) has a stream of random numbers of its own, so that switching one
    on leaves the others as they are.

    Raises ValueError for settings that cannot be scanned or a folder that does not exist.
    """
    protocol = settings.protocol()
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write the scan to.")
    scanner = _Scanner(settings, protocol)
    task = progress.add_task("Simulating", total=settings.slices) if progress else None

    def advance(share: float) -> None:
        if progress and task is not None:
            progress.advance(task, share)

    with h5py.File(path, "w") as scan, h5py.File(truth_path(path), "w") as truth:
        create_scan(scan, protocol)
        n_noise = NOISE_READOUTS if scanner.sigma > 0 else 0
        append_acquisitions(scan, noise_acquisitions(scanner.noise(n_noise), protocol))
        for index in range(settings.slices):
            phantom = scanner.phantom(index)
            if index == 0:
                create_truth(truth, protocol, phantom.label_names, asdict(settings))
            write_truth(truth, index, phantom)
            kspace = acquire(
                phantom, scanner.sensitivities, protocol.sequence, scanner.readout, scanner.signal, advance
            )
            records = slice_acquisitions(scanner.spoil(kspace, index), protocol, index, n_noise)
            append_acquisitions(scan, records[scanner.arrivals(len(records))])


class _Scanner:
    """All that stays the same from slice to slice."""

    def __init__(self, settings: SimulationSettings, protocol: Protocol) -> None:
        self.settings, self.protocol = settings, protocol
        self.subject = draw_subject(settings.population, settings.seed)
        self.sensitivities = receive_array(settings.coils, settings.matrix, protocol.fov_mm, settings.seed)
        self.covariance = noise_covariance(settings.coils, settings.seed)
        self.signal: TrainSignal = partial(
            fingerprint,
            protocol.sequence,
            inversion_efficiency=settings.inversion_efficiency,
            slice_profile=slice_profile(settings.slice_profile),
        )
        self.readout = _true_readout(settings, protocol.readout())
        self.noise_rng, self.motion_rng, self.loss_rng = (np.random.default_rng((settings.seed, n)) for n in (1, 3, 4))
        self.shift = np.zeros(2)
        self.sigma = self._sigma()

    def phantom(self, index: int) -> Phantom:
        """Of a slice, after the patient has moved on from the slice before."""
        if index:
            self.shift += self.motion_rng.normal(0, self.settings.motion_mm / np.sqrt(2), 2)
        pixels = np.round(self.shift * self.settings.matrix / self.protocol.fov_mm).astype(int)
        return move(self._still(index), (int(pixels[0]), int(pixels[1])))

    def noise(self, n: int) -> NDArray[np.complex64]:
        """Readouts of nothing but noise: (coils, n, samples)."""
        silence = np.zeros((self.settings.coils, n, self.protocol.n_samples), np.complex64)
        return add_noise(silence, self.covariance, self.sigma, self.noise_rng) if n else silence

    def spoil(self, kspace: NDArray[np.complex64], index: int) -> NDArray[np.complex64]:
        """What the receiver makes of a slice's k-space: field drift, noise, spikes."""
        sequence = self.protocol.sequence
        if self.settings.drift_hz:
            since_start = index * sequence.duration_ms + sequence.ti_ms + np.cumsum(sequence.tr_ms)
            share = since_start / (self.settings.slices * sequence.duration_ms)
            kspace = kspace * drift_phase(self.settings.drift_hz * share, sequence.te_ms, self.readout.time_ms)
        if self.sigma > 0:
            kspace = add_noise(kspace, self.covariance, self.sigma, self.noise_rng)
        return corrupt(kspace, self.settings.corrupted, self.loss_rng) if self.settings.corrupted else kspace

    def arrivals(self, n: int) -> NDArray[np.intp]:
        """Which readouts of a slice reach the file, in order."""
        return lose_and_repeat(n, self.settings.missing, self.settings.duplicated, self.loss_rng)

    def _still(self, index: int) -> Phantom:
        # stacks of slices that are longer than the anatomy are spread over it
        reach_mm = max(MM_PER_LEVEL[self.settings.anatomy], self.protocol.slice_offset_mm(self.settings.slices - 1))
        level = self.protocol.slice_offset_mm(index) / reach_mm
        return render(self.settings.anatomy, self.subject, level, self.settings.matrix, self.protocol.fov_mm)

    def _sigma(self) -> float:
        """Noise sd of a whitened k-space sample, per real and imaginary part."""
        if not self.settings.noise:
            return 0.0
        middle = self._still(self.settings.slices // 2)
        sequence = self.protocol.sequence
        mean = mean_frame_signal(middle, self.sensitivities, sequence, self.signal, self.covariance)
        gain = frame_noise_gain(self.protocol.readout(), sequence.spokes_per_frame, middle.pd.shape)
        return noise_sigma(self.settings.noise, mean, gain)


def _true_readout(settings: SimulationSettings, told: Readout) -> Readout:
    """Where k-space is really sampled, which the file does not know."""
    readout = told
    if any(settings.delays):
        readout = delay_gradients(readout, settings.delays)
    if settings.trajectory_error:
        readout = distort_trajectory(readout, settings.trajectory_error, np.random.default_rng((settings.seed, 2)))
    return readout
