"""The settings of a simulated scan, with unit, meaning and limits of every setting."""

from dataclasses import dataclass

from spokestream.errors import InputError
from spokestream.settings import check_settings, setting
from spokestream.simulator.acquisition.slice_profile import PROFILES
from spokestream.simulator.phantoms import ANATOMIES, DEFAULT_FOV_MM, POPULATIONS
from spokestream.simulator.physics.sequences.loading import load_sequence
from spokestream.simulator.scan_files.protocol import Protocol

__all__ = ["SimulationSettings"]

MOST_SPOKES = MOST_SAMPLES = 65_535
"""The largest numbers that the header of a readout holds."""
MOST_BYTES = 2 << 30
"""The largest k-space of one slice, of which several copies are in memory at times."""


@dataclass(frozen=True)
class SimulationSettings:
    """The settings of a simulated scan. Raises InputError, in one sentence, for settings that no scanner can have."""

    anatomy: str = setting("thigh", meaning="What lies in the scanner.", choices=tuple(ANATOMIES))
    population: str = setting("patients", meaning="Whom the subject is drawn from.", choices=tuple(POPULATIONS))
    seed: int = setting(
        0, meaning="Number of the subject in the population, and seed of all other random numbers.", low=0, high=2**32
    )
    matrix: int | None = setting(
        None,
        meaning="Image matrix along x and y; by default 1 mm in the anatomy's field of view, 350 for limbs.",
        unit="pixels",
        low=8,
        high=2048,
    )
    fov_mm: float | None = setting(
        None, meaning="Field of view; by default that of the anatomy, 350 for limbs.", unit="mm", low=1, high=1000
    )
    slices: int = setting(1, meaning="Slices of 8 mm along the anatomy.", low=1, high=1000)
    slice_spacing_mm: float = setting(
        20.0, meaning="Distance from the centre of one slice to that of the next.", unit="mm", low=0.1, high=1000
    )
    tilt_deg: tuple[float, float] = setting(
        (0.0, 0.0),
        meaning="Angles by which slices and anatomy are turned about the left-right axis, then the back-front axis.",
        unit="deg",
        low=-90,
        high=90,
    )
    coils: int = setting(12, meaning="Receive coils around the body.", low=1, high=256)
    noise: float = setting(
        0.1, meaning="Noise of one frame over its mean signal, per real and imaginary part; 0 is none.", low=0, high=1e6
    )
    sequence: str = setting("t1ff-2d-1400", meaning="Sequence preset, or a TOML or Pulseq file.")
    arms: str = setting(
        "radial", meaning="Shape of a readout: spokes, arms, or whole images.", choices=("radial", "spiral", "epi")
    )
    trajectory: str = setting(
        "embedded", meaning="How the file gives the trajectory.", choices=("embedded", "angle", "none")
    )
    dwell_us: float = setting(2.0, meaning="Time between two samples.", unit="us", low=0.01, high=1000)
    oversampling: float = setting(2.0, meaning="Readout oversampling: samples per pixel.", low=1, high=16)
    center_shift: int = setting(
        0,
        meaning="Number of samples by which the echo comes before the middle of a spoke.",
        unit="samples",
        low=0,
        high=10000,
    )
    inversion_efficiency: float = setting(
        1.0,
        meaning="Efficiency of the 180 degree pulse: 1 inverts fully, 0 saturates, -1 does nothing.",
        low=-1,
        high=1,
    )
    slice_profile: str = setting("rectangular", meaning="Shape of the flip angle across the slice.", choices=PROFILES)
    delays: tuple[float, float] = setting(
        (0.0, 0.0),
        meaning="Delays of the x and y gradients, which the file does not contain, as in 0.3,-0.2.",
        unit="samples",
        low=-5,
        high=5,
    )
    trajectory_error: float = setting(
        0.0,
        meaning="Root mean square of a smooth error along the spokes, which the file does not contain.",
        unit="samples",
        low=0,
        high=5,
    )
    drift_hz: float = setting(
        0.0, meaning="Drift of the field from the start of the scan to its end.", unit="Hz", low=-1000, high=1000
    )
    motion_mm: float = setting(
        0.0, meaning="How far the patient moves between slices, rounded to whole pixels.", unit="mm", low=0, high=50
    )
    missing: float = setting(0.0, meaning="Fraction of the spokes that never arrive.", low=0, high=0.9)
    duplicated: float = setting(0.0, meaning="Fraction of the spokes that arrive twice.", low=0, high=1)
    corrupted: float = setting(0.0, meaning="Fraction of the spokes that contain a spike.", low=0, high=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.arms != "radial" and (self.trajectory != "embedded" or self.center_shift):
            raise InputError(
                "Spiral arms and echo-planar images need an embedded trajectory, and their echo cannot be shifted."
            )

    def protocol(self) -> Protocol:
        """The protocol of the scanner. Raises InputError for an unknown or too fast sequence, and for too much data."""
        sequence = load_sequence(self.sequence)
        protocol = Protocol(
            sequence=sequence,
            matrix=self.matrix or round(DEFAULT_FOV_MM[self.anatomy]),
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
        if protocol.n_samples > MOST_SAMPLES:
            raise InputError(
                f"A readout holds {MOST_SAMPLES} samples at most, and this one would have {protocol.n_samples}; lower "
                "the matrix or the oversampling."
            )
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
