"""Isochromats: the Bloch equation at points across the voxel, for dephasing of any strength.

The method is slow and simple. It is the reference for the extended phase graphs, and also covers gradients that do not
dephase the voxel by a whole cycle.
"""

import torch
from torch import Tensor

from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.engines.timing import distinct_intervals, inverted, precession, relaxed
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["bloch"]


def bloch(
    sequence: PulseSequence,
    tissue: Spins,
    inversion_efficiency: float,
    *,
    isochromats: int,
    dephasing_cycles: float = 1.0,
) -> Tensor:
    """The mean magnetisation (atoms, spokes) over the voxel immediately after each pulse, complex.

    Args:
        sequence: with gradient spoiling, the isochromats are dephased after every echo. With balanced gradients there
            is no dephasing, and with ideal spoiling no transverse magnetisation remains.
        tissue: the atoms.
        inversion_efficiency: 1 changes M to -M.
        isochromats: number of points, evenly spaced over the voxel. For one cycle of dephasing, one point more than all
            repetitions have spokes is exact.
        dephasing_cycles: cycles by which the gradient dephases the voxel in every TR.

    """
    intervals = distinct_intervals(sequence)
    t1 = tissue.t1_ms
    n = isochromats if sequence.spoiling == "gradient" else 1
    place = (torch.arange(n, device=t1.device, dtype=torch.float64) + 0.5) / n - 0.5
    angle, tr = (torch.as_tensor(x).to(t1)[:, None] for x in (intervals.angle_rad, intervals.tr_ms))
    angle = angle * tissue.b1
    sine, cosine = torch.sin(angle), torch.cos(angle)
    e1, e2 = torch.exp(-tr / t1), torch.exp(-tr / tissue.t2_ms)
    rf_cycles = torch.as_tensor(intervals.rf_cycles, device=t1.device)[:, None]
    cycles = rf_cycles + precession(intervals, tissue.deltaf_hz)
    precess = torch.exp(-2j * torch.pi * cycles).to(e2.dtype.to_complex())
    if sequence.spoiling == "ideal":
        e2 = torch.zeros_like(e2)
    dephase = torch.exp(2j * torch.pi * dephasing_cycles * place).to(precess)[:, None] if n > 1 else 1.0
    mz = t1.new_ones(n, len(tissue))
    for _ in range(sequence.repetitions):
        mz = inverted(mz, sequence, tissue, inversion_efficiency)
        m = torch.zeros_like(mz, dtype=precess.dtype)
        signal = []
        for i in intervals.of_spoke:
            mx = cosine[i] * m.real + sine[i] * mz
            mz = cosine[i] * mz - sine[i] * m.real
            m = torch.complex(mx, m.imag)
            signal.append(m.mean(0))
            m = m * (e2[i] * precess[i]) * dephase
            mz = 1 + (mz - 1) * e1[i]
        mz = relaxed(mz, sequence.recovery_ms, tissue)
    return torch.stack(signal, 1)
