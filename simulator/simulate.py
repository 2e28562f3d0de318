"""Simulates a whole scan: an ISMRMRD file, and the file with the true maps beside it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.progress import Progress

from spokestream.errors import FileError
from spokestream.simulator.acquisition.imperfections import corrupt, drift_phase, lose_and_repeat
from spokestream.simulator.acquisition.noise import add_noise
from spokestream.simulator.acquisition.scanner import acquire
from spokestream.simulator.exam import Exam
from spokestream.simulator.scan_files.scan_file import (
    append_acquisitions,
    create_scan,
    create_truth,
    noise_acquisitions,
    slice_acquisitions,
    truth_path,
    write_truth,
)
from spokestream.simulator.simulation_settings import SimulationSettings
from spokestream.whole_files import check_writable, whole_hdf5

__all__ = ["SimulationSettings", "simulate_scan"]

NOISE_READOUTS = 8


def simulate_scan(path: Path, settings: SimulationSettings, progress: Progress | None = None) -> None:
    """Write a scan of a subject to `path`, and the true maps beside it. Only one slice is in memory at a time.

    The scan begins with noise readouts, unless there is no noise.

    Raises InputError for settings that cannot be scanned, and FileError for a file that cannot be written.
    """
    protocol = settings.protocol()
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} to write the scan to.")
    if path.is_dir():
        raise FileError(f"{path} is a folder; name a file for the scan.")
    check_writable(path.parent)
    exam = Exam(settings)
    receiver, losses, spikes = exam.rng(1), exam.rng(4), exam.rng(5)
    task = progress.add_task("Simulating", total=settings.slices) if progress else None

    def advance(fraction: float) -> None:
        if progress and task is not None:
            progress.advance(task, fraction)

    with whole_hdf5(path) as scan, whole_hdf5(truth_path(path)) as truth:
        create_scan(scan, protocol)
        n_noise = NOISE_READOUTS if exam.sigma else 0
        if n_noise:
            silence = np.zeros((settings.coils, n_noise, protocol.n_samples), np.complex64)
            noise = add_noise(silence, exam.covariance, exam.sigma, receiver)
            append_acquisitions(scan, noise_acquisitions(noise, protocol))
        for index in range(settings.slices):
            phantom = exam.phantom(index)
            if index == 0:
                used = asdict(settings) | {"matrix": protocol.matrix, "fov_mm": protocol.fov_mm}
                create_truth(truth, protocol, phantom.label_names, used)
            write_truth(truth, index, phantom)
            kspace = acquire(phantom, exam.sensitivities, exam.sequence, exam.actual, exam.signal, progress=advance)
            if settings.drift_hz:
                kspace *= drift_phase(exam.drift_hz(index), exam.sequence.te_ms, exam.actual.time_ms)
            if exam.sigma:
                kspace = add_noise(kspace, exam.covariance, exam.sigma, receiver)
            if settings.corrupted:
                kspace = corrupt(kspace, settings.corrupted, spikes)
            records = slice_acquisitions(kspace, protocol, index, n_noise)
            arrived = lose_and_repeat(len(records), settings.missing, settings.duplicated, losses)
            append_acquisitions(scan, records[arrived])
            scan.flush()
