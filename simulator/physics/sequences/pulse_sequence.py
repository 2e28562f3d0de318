"""An MRF sequence, spoke by spoke."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError

__all__ = ["SCALARS", "TRAINS", "PulseSequence", "Spoiling"]

Trains = NDArray[np.float64]

Spoiling = Literal["ideal", "gradient", "balanced"]

TRAINS = ("flip_angle_deg", "rf_phase_deg", "te_ms", "tr_ms")
"""Fields of a `PulseSequence` with a value for every spoke."""
SCALARS: dict[str, type] = {
    "ti_ms": float,
    "recovery_ms": float,
    "repetitions": int,
    "spokes_per_frame": int,
    "spoiling": str,
    "inversion": bool,
}
"""All other fields except the name, and their types in files."""


@dataclass(frozen=True, eq=False)
class PulseSequence:
    """An inversion, a train of excitations with one spoke each, and a recovery; all of it is repeated.

    A spoke is the readout after one excitation: a radial spoke, a spiral arm or an echo-planar image.

    Raises InputError, in words, for trains of unequal length and impossible times or angles.
    """

    name: str
    flip_angle_deg: Trains
    """(spokes,) nominal; the flip angle in tissue is this times B1."""
    te_ms: Trains
    """(spokes,)"""
    tr_ms: Trains
    """(spokes,)"""
    ti_ms: float
    """Time from the non-selective 180° pulse to the first excitation."""
    recovery_ms: float
    """Time from the end of the train to the next inversion."""
    repetitions: int = 2
    """Number of times that the sequence is played; the last one gives the signal. The first starts in equilibrium."""
    spokes_per_frame: int = 8
    rf_phase_deg: Trains = field(default_factory=lambda: np.zeros(0))
    """(spokes,) phase of the pulses, which the receiver follows; by default it is constant."""
    spoiling: Spoiling = "ideal"
    """Spoiling of the transverse magnetisation at the end of TR. `ideal` leaves none; `gradient` dephases it by one
    cycle over the voxel (FISP; with RF spoiling if the phase is quadratic); `balanced` does not change it (bSSFP)."""
    inversion: bool = True
    """Whether a 180° pulse precedes the train; without it, TI is only a delay."""

    def __post_init__(self) -> None:
        if not len(self.rf_phase_deg):
            object.__setattr__(self, "rf_phase_deg", np.zeros(len(self.te_ms)))
        n = {len(self.flip_angle_deg), len(self.te_ms), len(self.tr_ms), len(self.rf_phase_deg)}
        if len(n) != 1 or 0 in n:
            raise InputError(f"flip angle, RF phase, TE and TR trains must have one length, got {sorted(n)}")
        for what, values in (("TE", self.te_ms), ("TR", self.tr_ms)):
            if not np.all(np.isfinite(values)) or np.any(np.asarray(values) <= 0):
                raise InputError(f"{what} must be finite and positive")
        if not np.all(np.isfinite(self.flip_angle_deg)) or np.any(np.asarray(self.flip_angle_deg) < 0):
            raise InputError("flip angles must be finite and not negative")
        if not np.any(self.flip_angle_deg):
            raise InputError("at least one flip angle must be positive")
        if not np.all(np.isfinite(self.rf_phase_deg)):
            raise InputError("RF phases must be finite")
        if self.spoiling not in get_args(Spoiling):
            raise InputError(f"spoiling is one of {', '.join(get_args(Spoiling))}, not '{self.spoiling}'")
        if np.any(self.te_ms >= self.tr_ms):
            raise InputError("TE must be shorter than TR")
        if not (np.isfinite([self.ti_ms, self.recovery_ms]).all() and self.ti_ms >= 0 and self.recovery_ms >= 0):
            raise InputError("inversion time and recovery must be finite and not negative")
        if self.repetitions < 1 or self.spokes_per_frame < 1:
            raise InputError("repetitions and spokes per frame must be at least 1")

    def __len__(self) -> int:
        return len(self.te_ms)

    @property
    def n_frames(self) -> int:
        """The number of temporal frames of `spokes_per_frame` spokes; the last frame may be shorter."""
        return -(-len(self) // self.spokes_per_frame)

    @property
    def duration_ms(self) -> float:
        """The scan time of one slice: inversion time, train and recovery."""
        return float(self.ti_ms + np.sum(self.tr_ms) + self.recovery_ms)

    @property
    def echo_times_ms(self) -> Trains:
        """The distinct echo times (groups,), ascending; see `echo_group`."""
        return np.unique(np.round(self.te_ms, 6))

    @property
    def echo_group(self) -> NDArray[np.intp]:
        """The index (spokes,) into `echo_times_ms` of each spoke."""
        return np.searchsorted(self.echo_times_ms, np.round(self.te_ms, 6)).astype(np.intp)

    def difference(self, other: "PulseSequence", tolerance: float = 1e-3) -> str | None:
        """The first difference between two sequences beyond a relative tolerance, in words; None if there is none.

        The tolerance is for headers, which hold values in single precision. Names are not compared, because they can
        be wrong.
        """
        if len(self) != len(other):
            return f"{len(self)} spokes against {len(other)}"
        for label in ("spoiling", "inversion"):
            a, b = getattr(self, label), getattr(other, label)
            if a != b:
                return f"{label} is {a} against {b}"
        for label, unit in (("flip_angle_deg", "°"), ("rf_phase_deg", "°"), ("te_ms", " ms"), ("tr_ms", " ms")):
            a, b = getattr(self, label), getattr(other, label)
            off = np.flatnonzero(~np.isclose(a, b, rtol=tolerance, atol=1e-6))
            if off.size:
                j = off[0]
                return f"{label} of spoke {j} is {a[j]:g}{unit} against {b[j]:g}{unit}"
        for label in ("ti_ms", "recovery_ms", "repetitions", "spokes_per_frame"):
            a, b = getattr(self, label), getattr(other, label)
            if not np.isclose(a, b, rtol=tolerance, atol=1e-6):
                return f"{label} is {a:g} against {b:g}"
        return None
