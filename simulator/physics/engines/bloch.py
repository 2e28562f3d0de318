"""Isochromats: the Bloch equation at points across the voxel, for dephasing of any strength.

Slow and plain: what the extended phase graphs are held against, and what they cannot say, a gradient that dephases by
no whole turn.
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
    """(atoms, spokes) complex: the mean over the voxel right after each pulse.

    Args:
        sequence: with gradient spoiling, the isochromats are dephased after every echo; with balanced gradients there
            is no dephasing, and with ideal spoiling nothing transverse is left.
        tissue: the atoms.
        inversion_efficiency: 1 turns M into -M.
        isochromats: evenly spaced over the voxel; for a whole turn, one more than all repetitions have spokes is exact.
        dephasing_cycles: by which the gradient dephases the voxel in every TR.

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
