"""The distinct intervals of a train, and the relaxation of longitudinal magnetisation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["Intervals", "distinct_intervals", "inverted", "precession", "relaxed"]


@dataclass(frozen=True)
class Intervals:
    """The distinct combinations of flip angle, TR and RF phase step; exp, sin and cos are computed once for each."""

    angle_rad: NDArray[np.float64]
    """(distinct,) nominal flip angles."""
    tr_ms: NDArray[np.float64]
    """(distinct,)"""
    rf_cycles: NDArray[np.float64]
    """(distinct,) phase of the next pulse relative to that of this one, in cycles."""
    of_spoke: list[int]
    """The number of the interval of each spoke."""


def distinct_intervals(sequence: PulseSequence) -> Intervals:
    """The distinct intervals of a train. The last phase step has no effect and repeats the one before."""
    rf = np.diff(sequence.rf_phase_deg) / 360
    rf = np.append(rf, rf[-1:] if rf.size else 0.0)
    rf = np.round(rf - np.round(rf), 12)
    table = np.stack([np.deg2rad(sequence.flip_angle_deg), sequence.tr_ms, rf], 1)
    rows, of_spoke = np.unique(table, axis=0, return_inverse=True)
    return Intervals(rows[:, 0], rows[:, 1], rows[:, 2], of_spoke.ravel().tolist())


def precession(intervals: Intervals, deltaf_hz: Tensor) -> Tensor:
    """The precession (distinct, atoms) by off-resonance during TR, in cycles and in double precision."""
    return torch.as_tensor(intervals.tr_ms * 1e-3, device=deltaf_hz.device)[:, None] * deltaf_hz.double()


def relaxed(mz: Tensor, time_ms: float, tissue: Spins, equilibrium: Tensor | float = 1.0) -> Tensor:
    """The longitudinal magnetisation (..., atoms) after this time."""
    return equilibrium + (mz - equilibrium) * torch.exp(-time_ms / tissue.t1_ms)


def inverted(
    mz: Tensor, sequence: PulseSequence, tissue: Spins, efficiency: float, equilibrium: Tensor | float = 1.0
) -> Tensor:
    """The longitudinal magnetisation (..., atoms) before the first pulse: after the inversion, if any, and TI."""
    return relaxed(-efficiency * mz if sequence.inversion else mz, sequence.ti_ms, tissue, equilibrium)
