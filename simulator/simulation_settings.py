"""The settings of a simulated scan, with unit, meaning and limits of every setting."""

from dataclasses import dataclass

from spokestream.errors import InputError
from spokestream.settings import check_settings, setting
from spokestream.simulator.acquisition.slice_profile import PROFILES
from spokestream.simulator.phantoms import ANATOMIES, DEFAULT_FOV_MM, POPULATIONS
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.scan_files.protocol import Protocol

__all__ = ["SimulationSettings"]

MOST_SPOKES = 65_535
MOST_BYTES = 2 << 30
"""Largest k-space of one slice; at times several copies of it are in memory."""


@dataclass(frozen=True)
class SimulationSettings:
    """The settings of a simulated scan. Raises InputError, in one sentence, for settings that no scanner can have."""

    anatomy: str = setting("thigh", "", "What lies in the scanner.", choices=tuple(ANATOMIES))
    population: str = setting("patients", "", "Whom the subject is drawn from.", choices=tuple(POPULATIONS))
    seed: int = setting(0, "", "Which subject of the population, and all other chance.", 0, 2**32)
    matrix: int = setting(350, "pixels", "Image matrix along x and y.", 8, 2048)
    fov_mm: float = setting(0.0, "mm", "Field of view; 0 takes that of the anatomy, 350 for limbs.", 0, 1000)
    slices: int = setting(1, "", "Slices of 8 mm along the anatomy.", 1, 1000)
    slice_spacing_mm: float = setting(20.0, "mm", "From one slice's centre to the next.", 0.1, 1000)
    tilt_deg: tuple[float, float] = setting(
        (0.0, 0.0),
        "deg",
        "Oblique slices, anatomy and all: turned about the left-right, then the back-front axis.",
        -90,
        90,
    )
    coils: int = setting(12, "", "Receive coils around the body.", 1, 256)
    noise: float = setting(
        0.1, "", "Noise of one frame over its mean signal, per real and imaginary part; 0 is none.", 0, 1e6
    )
    sequence: str = setting("t1ff-2d-1400", "", "Sequence preset, or a TOML or Pulseq file.")
    arms: str = setting("radial", "", "Shape of a spoke.", choices=("radial", "spiral"))
    trajectory: str = setting(
        "embedded", "", "How the file tells the trajectory.", choices=("embedded", "angle", "none")
    )
    dwell_us: float = setting(2.0, "us", "Time between two samples.", 0.01, 1000)
    oversampling: float = setting(2.0, "", "Readout oversampling: samples per pixel.", 1, 16)
    center_shift: int = setting(0, "samples", "By how much the echo comes before the middle of a spoke.", 0, 10000)
    inversion_efficiency: float = setting(
        1.0, "", "Of the 180 degree pulse: 1 is perfect, 0 saturates, -1 is none.", -1, 1
    )
    slice_profile: str = setting("rectangular", "", "Flip angle over the slice's thickness.", choices=PROFILES)
    delays: tuple[float, float] = setting(
        (0.0, 0.0), "samples", "Delays of the x and y gradient, which the file does not tell, as in 0.3,-0.2.", -5, 5
    )
    trajectory_error: float = setting(
        0.0, "samples", "Root mean square of a smooth error along the spokes, which the file does not tell.", 0, 5
    )
    drift_hz: float = setting(0.0, "Hz", "Drift of the field from the scan's start to its end.", -1000, 1000)
    motion_mm: float = setting(0.0, "mm", "How far the patient moves between slices, in whole pixels.", 0, 50)
    missing: float = setting(0.0, "", "Share of the spokes that never arrive.", 0, 0.9)
    duplicated: float = setting(0.0, "", "Share of the spokes that arrive twice.", 0, 1)
    corrupted: float = setting(0.0, "", "Share of the spokes that hold a spike.", 0, 1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.arms == "spiral" and (self.trajectory != "embedded" or self.center_shift):
            raise InputError("Spiral arms start at k = 0 and need an embedded trajectory.")

    def protocol(self) -> Protocol:
        """The protocol of the scanner. Raises InputError for an unknown or too fast sequence, and for too much data."""
        sequence = load_sequence(self.sequence)
        protocol = Protocol(
            sequence=sequence,
            matrix=self.matrix,
            n_coils=self.coils,
            n_slices=self.slices,
            oversampling=self.oversampling,
            dwell_us=self.dwell_us,
            trajectory=self.trajectory,
            arms=self.arms,
            center_shift=self.center_shift,
            fov_mm=self.fov_mm or DEFAULT_FOV_MM[self.anatomy],
            slice_spacing_mm=self.slice_spacing_mm,
            tilt_deg=self.tilt_deg,
            name=f"MRF, simulated {self.anatomy}",
        )
        if sequence.spoiling == "balanced":
            raise InputError(f"Scans do not model the banding of balanced trains, as '{sequence.name}' is.")
        if len(sequence) > MOST_SPOKES:
            raise InputError(f"A scan numbers {MOST_SPOKES} spokes at most; '{sequence.name}' has {len(sequence)}.")
        gigabytes = 8 * self.coils * len(sequence) * protocol.n_samples / 2**30
        if gigabytes * 2**30 > MOST_BYTES:
            raise InputError(f"One slice would have {gigabytes:.1f} GB of k-space; lower the matrix or the coils.")
        if protocol.center_sample < 0:
            raise InputError(f"The echo cannot come {self.center_shift} samples before the middle of a spoke.")
        before = protocol.center_sample * self.dwell_us * 1e-3
        after = protocol.n_samples * self.dwell_us * 1e-3 - before
        if before > sequence.te_ms.min() or after > (sequence.tr_ms - sequence.te_ms).min():
            raise InputError(
                f"A readout of {before + after:.3g} ms does not fit the echo times of '{sequence.name}'; "
                "lower the matrix, the oversampling or the dwell time."
            )
        return protocol
