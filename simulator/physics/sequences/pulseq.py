"""A sequence from a Pulseq file (.seq), with the pulses and times that a scanner plays.

Pulseq: Layton et al., Magn Reson Med 2017;77:1544. The file is read by pypulseq, which is an optional dependency.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spokestream.errors import FileError, InputError
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["sequence_from_pulseq"]

INVERTING_DEG = (170.0, 190.0)
"""Older files do not give the use of a pulse; a pulse with a flip angle in this range and no readout inverts."""
BALANCED_PER_M = 1.0
"""Dephasing over one TR, in cycles per metre, below which gradients count as balanced: 0.001 per mm."""


@dataclass(frozen=True)
class Pulse:
    """One RF pulse with its centre (s from the start), flip angle and phase, and the readouts before the next pulse."""

    time_s: float
    angle_deg: float
    phase_deg: float
    use: str
    readouts: list[tuple[float, float]]
    """(centre in s, receiver phase in degrees) of each readout."""

    @property
    def inverts(self) -> bool:
        """Whether the pulse inverts before the train and does not belong to the train."""
        by_angle = INVERTING_DEG[0] <= self.angle_deg <= INVERTING_DEG[1] and not self.readouts
        return self.use == "inversion" or (self.use not in ("excitation", "refocusing") and by_angle)


def sequence_from_pulseq(path: Path) -> PulseSequence:
    """Read flip angles, RF phases, TE, TR, inversion and spoiling from a Pulseq file with one train.

    TE is the time from the centre of the pulse to the centre of the readout, where k = 0. The last TR is assumed to be
    as long as the one before; the rest of the file is recovery. Gradients without dephasing from pulse to pulse are
    `balanced`; all others are assumed to dephase a voxel by one cycle (`gradient`).

    Raises InputError, in one sentence, without pypulseq, and FileError for a file that is no Pulseq file and for
    sequences of another form: more than one inversion, refocusing pulses, not one readout for each excitation, a
    receiver that does not follow the phase of the pulses.
    """
    played = _read(_pypulseq(), path)
    pulses, end_s = _pulses(played)
    preparing = [pulse for pulse in pulses if pulse.inverts]
    train = [pulse for pulse in pulses if not pulse.inverts]
    _check(path.name, preparing, train)
    start = np.array([pulse.time_s for pulse in train])
    te = np.array([pulse.readouts[0][0] for pulse in train]) - start
    left = end_s - start[-1]
    tr = np.diff(start, append=start[-1] + (min(left, start[-1] - start[-2]) if len(train) > 1 else left))
    return PulseSequence(
        name=path.stem,
        flip_angle_deg=np.array([pulse.angle_deg for pulse in train]),
        rf_phase_deg=np.array([pulse.phase_deg for pulse in train]) % 360,
        te_ms=te * 1e3,
        tr_ms=tr * 1e3,
        ti_ms=float(start[0] - preparing[0].time_s) * 1e3 if preparing else 0.0,
        recovery_ms=float(left - tr[-1]) * 1e3,
        repetitions=1,
        spokes_per_frame=1,
        spoiling="balanced" if _balanced(path.name, played, np.append(start, start[-1] + tr[-1])) else "gradient",
        inversion=bool(preparing),
    )


def _pypulseq() -> ModuleType:
    try:
        return import_module("pypulseq")
    except ImportError:
        raise InputError(
            "Pulseq files are read by pypulseq; install it with 'pip install spokestream[pulseq]'."
        ) from None


def _read(pypulseq: ModuleType, path: Path) -> Any:
    if not path.is_file():
        raise FileError(f"There is no sequence file {path}.")
    played = pypulseq.Sequence()
    try:
        played.read(str(path))
    except Exception as error:  # noqa: BLE001 the reader raises whatever the broken line led to
        raise FileError(f"{path} is no Pulseq file that pypulseq can read ({error}).") from None
    return played


def _pulses(played: Any) -> tuple[list[Pulse], float]:
    """All pulses with their readouts, and the end time of the file (s)."""
    pulses: list[Pulse] = []
    now = 0.0
    for number, duration in played.block_durations.items():
        block = played.get_block(number)
        if block.rf is not None:
            rf = block.rf
            rotation = _integral(rf)
            phase = np.rad2deg(rf.phase_offset + np.angle(rotation) + 2 * np.pi * rf.freq_offset * rf.center)
            use = getattr(rf, "use", "undefined")
            pulses.append(Pulse(now + rf.delay + rf.center, 360 * abs(rotation), float(phase), use, []))
        if block.adc is not None and pulses:
            adc = block.adc
            middle = now + adc.delay + adc.num_samples * adc.dwell / 2
            pulses[-1].readouts.append((middle, float(np.rad2deg(adc.phase_offset))))
        now += duration
    return pulses, now


def _integral(rf: Any) -> complex:
    """The rotation of the magnetisation in cycles: the amplitude of the pulse (Hz), integrated over its whole shape."""
    inner = np.trapezoid(rf.signal, rf.t)
    return complex(inner + rf.signal[0] * rf.t[0] + rf.signal[-1] * (rf.shape_dur - rf.t[-1]))


def _check(name: str, preparing: list[Pulse], train: list[Pulse]) -> None:
    if not train:
        raise FileError(f"{name} excites nothing.")
    if len(preparing) > 1 or (preparing and preparing[0].time_s > train[0].time_s):
        raise FileError(f"{name} has {len(preparing)} inversions; one is allowed, before the train.")
    for number, pulse in enumerate(train):
        if pulse.use == "refocusing":
            raise FileError(f"Pulse {number} of {name} refocuses; only trains of excitations are known.")
        if len(pulse.readouts) != 1:
            raise FileError(f"Excitation {number} of {name} has {len(pulse.readouts)} readouts; it must have one.")
    lag = np.array([pulse.readouts[0][1] - pulse.phase_deg for pulse in train])
    if np.abs(np.exp(1j * np.deg2rad(lag - lag[0])) - 1).max() > 1e-3:
        raise FileError(f"The receiver of {name} does not follow the phase of its pulses.")


def _balanced(name: str, played: Any, borders_s: Any) -> bool:
    """Whether no TR dephases the magnetisation. Raises FileError when some do and others do not."""
    dephasing = np.zeros(len(borders_s) - 1)
    for waveform in played.get_gradients():
        if waveform is not None:
            area = waveform.antiderivative()
            first, last = waveform.x[[0, -1]]
            dephasing += np.diff(area(np.clip(borders_s, first, last))) ** 2
    dephases = np.sqrt(dephasing[:-1] if len(dephasing) > 1 else dephasing) > BALANCED_PER_M
    if dephases.any() and not dephases.all():
        raise FileError(f"{name} dephases in some TRs and not in others; spoiling must be one of the two.")
    return not dephases.any()
