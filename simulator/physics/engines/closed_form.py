"""Ideal spoiling, in closed form: an affine recursion of the longitudinal magnetisation (Marty and Carlier 2020).

It equals an extended phase graph with a perfect spoiler. Off-resonance and RF phase have no effect.
"""

import torch
from torch import Tensor

from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.engines.timing import distinct_intervals, inverted, relaxed
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["closed_form"]


def closed_form(sequence: PulseSequence, tissue: Spins, inversion_efficiency: float) -> Tensor:
    """The magnetisation (atoms, spokes) immediately after each pulse, real. It does not depend on T2."""
    intervals = distinct_intervals(sequence)
    angle, tr = (torch.as_tensor(x).to(tissue.t1_ms)[:, None] for x in (intervals.angle_rad, intervals.tr_ms))
    angle = angle * tissue.b1
    decay = torch.exp(-tr / tissue.t1_ms)
    keep, regrow = (torch.cos(angle) * decay).unbind(), (1 - decay).unbind()
    mz = torch.ones_like(tissue.t1_ms)
    for _ in range(sequence.repetitions):
        mz = inverted(mz, sequence, tissue, inversion_efficiency)
        before_pulse = []
        for i in intervals.of_spoke:
            before_pulse.append(mz)
            mz = torch.addcmul(regrow[i], mz, keep[i])
        mz = relaxed(mz, sequence.recovery_ms, tissue)
    return (torch.stack(before_pulse) * torch.sin(angle)[intervals.of_spoke]).T
