"""A whole simulated scan: thigh phantom, coil array and sequence in; ISMRMRD file with its truth beside it out."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rich.progress import Progress

from simulator.coils import noise_covariance, receive_array
from simulator.noise import add_noise, frame_noise_gain, mean_frame_signal, noise_sigma
from simulator.phantoms import Phantom, thigh
from simulator.protocol import Protocol
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
from simulator.sequence import load_sequence

__all__ = ["SimulationSettings", "simulate_scan"]

TRAJECTORIES = ("embedded", "angle", "none")
NOISE_READOUTS = 8
MOST_BYTES = 2 << 30
"""Of one slice's k-space, several copies of which are in memory at times."""


def _setting(default: Any, unit: str, about: str) -> Any:
    return field(default=default, metadata={"unit": unit, "help": about})


@dataclass(frozen=True)
class SimulationSettings:
    """What to simulate. Raises ValueError, in one sentence, for what no scanner can do."""

    matrix: int = _setting(350, "pixels", "Image matrix along x and y; the field of view is 350 mm.")
    coils: int = _setting(12, "", "Receive coils around the body.")
    slices: int = _setting(1, "", "Slices of 8 mm, 20 mm apart along the thigh.")
    noise: float = _setting(0.1, "", "Noise of one frame over its mean signal, per real and imaginary part; 0 is none.")
    seed: int = _setting(0, "", "Random seed of patient, coils and noise.")
    sequence: str = _setting("t1ff-2d-1400", "", "Sequence preset, or a TOML file.")
    trajectory: str = _setting("embedded", "", "How the file tells the trajectory: embedded, angle or none.")
    dwell_us: float = _setting(2.0, "us", "Time between two samples.")
    oversampling: int = _setting(2, "", "Readout oversampling: samples per pixel.")

    def __post_init__(self) -> None:
        for name, low, high in (
            ("matrix", 8, 2048), ("coils", 1, 256), ("slices", 1, 1000), ("oversampling", 1, 16), ("seed", 0, 2**32),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"The setting {name} must be a whole number from {low} to {high}, got {value}.")
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"The setting noise must not be negative, got {self.noise:g}.")
        if self.trajectory not in TRAJECTORIES:
            raise ValueError(f"The trajectory is one of {', '.join(TRAJECTORIES)}, got '{self.trajectory}'.")
        if not 0 < self.dwell_us < np.inf:
            raise ValueError(f"The dwell time must be positive, got {self.dwell_us:g} us.")

    def protocol(self) -> Protocol:
        """The scanner's protocol. Raises ValueError for an unknown or too quick sequence, or too much data."""
        sequence = load_sequence(self.sequence)
        protocol = Protocol(
            sequence, self.matrix, self.coils, self.slices, self.oversampling, self.dwell_us, self.trajectory
        )
        gigabytes = 8 * self.coils * len(sequence) * protocol.n_samples / 2**30
        if gigabytes * 2**30 > MOST_BYTES:
            raise ValueError(f"One slice would have {gigabytes:.1f} GB of k-space; lower the matrix or the coils.")
        before = protocol.center_sample * self.dwell_us * 1e-3
        after = protocol.n_samples * self.dwell_us * 1e-3 - before
        if before > sequence.te_ms.min() or after > (sequence.tr_ms - sequence.te_ms).min():
            raise ValueError(
                f"A readout of {before + after:.3g} ms does not fit the echo times of '{sequence.name}'; "
                "lower the matrix, the oversampling or the dwell time."
            )
        return protocol


def simulate_scan(path: Path, settings: SimulationSettings, progress: Progress | None = None) -> None:
    """Write a scan of a thigh to `path` and the true maps beside it, holding one slice in memory at a time.

    The noise readouts come first, unless there is no noise. Its level is set once, on the middle slice.

    Raises ValueError for settings that cannot be scanned or a folder that does not exist.
    """
    protocol = settings.protocol()
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write the scan to.")
    sensitivities = receive_array(settings.coils, settings.matrix, protocol.fov_mm, settings.seed)
    covariance = noise_covariance(settings.coils, settings.seed)
    sigma = _sigma(settings, protocol, sensitivities, covariance)
    rng = np.random.default_rng((settings.seed, 1))
    task = progress.add_task("Simulating", total=settings.slices) if progress else None

    def advance(share: float) -> None:
        if progress and task is not None:
            progress.advance(task, share)

    with h5py.File(path, "w") as scan, h5py.File(truth_path(path), "w") as truth:
        create_scan(scan, protocol)
        if sigma > 0:
            silence = np.zeros((settings.coils, NOISE_READOUTS, protocol.n_samples), np.complex64)
            append_acquisitions(scan, noise_acquisitions(add_noise(silence, covariance, sigma, rng), protocol))
        for index in range(settings.slices):
            phantom = _phantom(settings, protocol, index)
            if index == 0:
                create_truth(truth, protocol, phantom.label_names, asdict(settings))
            write_truth(truth, index, phantom)
            kspace = acquire(
                phantom, sensitivities, protocol.sequence, protocol.n_samples, protocol.center_sample,
                protocol.oversampling, protocol.dwell_us, advance,
            )  # fmt: skip
            if sigma > 0:
                kspace = add_noise(kspace, covariance, sigma, rng)
            append_acquisitions(scan, slice_acquisitions(kspace, protocol, index))


def _phantom(settings: SimulationSettings, protocol: Protocol, index: int) -> Phantom:
    # the thigh is 200 mm long; longer stacks of slices are spread over it
    reach_mm = max(100.0, protocol.slice_offset_mm(settings.slices - 1))
    level = protocol.slice_offset_mm(index) / reach_mm
    return thigh(settings.matrix, protocol.fov_mm, settings.seed, level)


def _sigma(settings: SimulationSettings, protocol: Protocol, sensitivities: Any, covariance: Any) -> float:
    """Noise sd of a whitened k-space sample, per real and imaginary part."""
    middle = _phantom(settings, protocol, settings.slices // 2)
    signal = mean_frame_signal(middle, sensitivities, protocol.sequence, covariance)
    gain = frame_noise_gain(
        middle.pd.shape,
        protocol.sequence.spokes_per_frame,
        protocol.n_samples,
        protocol.center_sample,
        protocol.oversampling,
    )
    return noise_sigma(settings.noise, signal, gain)
