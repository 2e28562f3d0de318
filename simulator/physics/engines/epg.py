"""Extended phase graphs: magnetisation over the voxel as a Fourier series (Hennig 1991; Weigel 2015).

Order k holds what k gradients have dephased: A_k = F_k, B_k = conj F_-k, and Z_k. In the frame that follows the RF
phase every pulse turns about y, with real coefficients, and leaves A - B alone:

    A <- A + d,  B <- B + d,  Z <- cos Z - sin (A + B) / 2,   with d = (cos - 1) (A + B) / 2 + sin Z

Steps of the RF phase and off-resonance turn A and B between pulses. A turn that is the same in every TR merely shifts
the pattern of the dephasing along the gradient, unseen by order 0: then all states are real, a quarter of the work.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.engines.timing import Intervals, distinct_intervals, inverted, precession, relaxed
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["epg", "is_real", "orders_needed"]

TOLERANCE = 1e-4
"""What an order must still be able to give back to be kept, in units of equilibrium magnetisation."""
TRIM = 12
"""Pulses between two looks at which orders are still worth keeping."""


def orders_needed(sequence: PulseSequence, t2_ms: Tensor) -> Tensor:
    """(atoms,) orders that can matter, order 0 among them, however strong the pulses.

    What comes back from order k was transverse for k repetition times on its way out and for k on its way home.
    """
    if sequence.spoiling != "gradient":
        return torch.ones_like(t2_ms, dtype=torch.int64)
    shortest_ms = 2 * float(np.min(sequence.tr_ms))
    return (
        (2 + torch.ceil(-math.log(TOLERANCE) * t2_ms / shortest_ms))
        .clamp(max=len(sequence) * sequence.repetitions)
        .long()
    )


def is_real(sequence: PulseSequence, deltaf_hz: Tensor) -> bool:
    """Whether the states are: the phase between pulses changes by half turns only, and off-resonance does not tell.

    It does not where there is none, or where a gradient hides it since all TR are the same.
    """
    intervals = distinct_intervals(sequence)
    same_tr = sequence.spoiling == "gradient" and bool(np.ptp(intervals.tr_ms) == 0)
    half_cycles = 2 * _rf_cycles(sequence, intervals)
    return bool(np.abs(half_cycles - half_cycles.round()).max() < 1e-9) and (same_tr or not bool(deltaf_hz.any()))


def epg(
    sequence: PulseSequence, tissue: Spins, inversion_efficiency: float, *, orders: int, real: bool, trim: bool
) -> Tensor:
    """(atoms, spokes) right after each pulse, real or complex.

    Orders that cannot return before the last train ends are left out: they contribute nothing.

    Args:
        sequence: with balanced gradients or ideal spoiling there is but order 0.
        tissue: the atoms.
        inversion_efficiency: 1 turns M into -M.
        orders: to keep, order 0 among them; as many as all repetitions have spokes is exact.
        real: what `is_real` says; complex states are right as well.
        trim: leave out orders that have become too weak to matter.

    """
    intervals = distinct_intervals(sequence)
    pulses = _pulses(sequence, intervals, tissue, real)
    gradient, n_spokes = sequence.spoiling == "gradient", len(sequence)
    cap = orders if gradient else 1
    # complex states lie as pairs of real ones, since almost all that is done to them is real
    wide = tissue if real else tissue.repeated(2)
    equilibrium = torch.zeros(cap, len(wide)).to(wide.t1_ms)
    equilibrium[0, :: 1 if real else 2] = 1
    homeward = torch.exp(-torch.arange(cap).to(equilibrium) * float(np.min(sequence.tr_ms)) / tissue.t2_ms.max())
    z = equilibrium[:1]
    for repetition in range(sequence.repetitions):
        last = repetition == sequence.repetitions - 1
        n = min(len(z), n_spokes) if last else len(z)
        z = inverted(z[:n], sequence, wide, inversion_efficiency, equilibrium[:n])
        states = (_TracedStates if tissue.requires_grad else _States)(z, n_spokes, cap, real)
        before: list[tuple[Tensor, Tensor]] = []
        for j, i in enumerate(intervals.of_spoke):
            before.append(states.order_zero())
            states.pulse(pulses[i])
            if gradient:
                if trim and j % TRIM == TRIM - 1:
                    worth = (states.strength() * homeward[:n] > TOLERANCE).nonzero()
                    n = int(worth[-1]) + 1 if len(worth) else 1
                n = min(n + 1, cap, n_spokes - j - 1) if last else min(n + 1, cap)
                states.shift(n)
        z = relaxed(states.z, sequence.recovery_ms, wide, equilibrium[: len(states.z)])
    a, z = (torch.stack(x) for x in zip(*before, strict=True))
    angle = torch.as_tensor(intervals.angle_rad).to(a)[:, None] * tissue.b1
    sine, cosine = torch.sin(angle)[intervals.of_spoke], torch.cos(angle)[intervals.of_spoke]
    if real:
        return (cosine * a + sine * z).T
    return torch.complex(cosine * a[:, ::2] + sine * z[:, ::2], a[:, 1::2]).T


@dataclass(frozen=True)
class _Pulse:
    """Rows (atoms,) of what a pulse and the relaxation after it do to the states."""

    tip: Tensor
    """(cos - 1) / 2 E2: of A + B into A and B."""
    raise_: Tensor
    """sin E2: of Z into A and B."""
    lower: Tensor
    """-sin / 2 E1: of A + B into Z."""
    stay: Tensor
    """cos E1: of Z."""
    e2: Tensor
    regrow: Tensor
    """1 - E1, in the real part."""
    phase: Tensor | None
    """Of A until the next pulse, complex; B turns the other way. None for real states."""


def _rf_cycles(sequence: PulseSequence, intervals: Intervals) -> NDArray[np.float64]:
    """(distinct,) from pulse to pulse, less what is common to all where a gradient hides that."""
    return intervals.rf_cycles - (intervals.rf_cycles[0] if sequence.spoiling == "gradient" else 0)


def _pulses(sequence: PulseSequence, intervals: Intervals, tissue: Spins, real: bool) -> list[_Pulse]:
    """One for each distinct interval."""
    like = tissue.t1_ms
    angle, tr = (torch.as_tensor(x).to(like)[:, None] for x in (intervals.angle_rad, intervals.tr_ms))
    angle = angle * tissue.b1
    sine, cosine = torch.sin(angle), torch.cos(angle)
    e1, e2 = torch.exp(-tr / tissue.t1_ms), torch.exp(-tr / tissue.t2_ms)
    if sequence.spoiling == "ideal":
        e2 = torch.zeros_like(e2)
    rf_cycles = _rf_cycles(sequence, intervals)
    if real:
        e2 = e2 * torch.as_tensor(np.cos(np.pi * np.rint(2 * rf_cycles))).to(like)[:, None]
    columns = [(cosine - 1) / 2 * e2, sine * e2, -sine / 2 * e1, cosine * e1, e2, 1 - e1]
    if real:
        phases: list[Tensor | None] = [None] * len(tr)
    else:
        columns = [x.repeat_interleave(2, -1) for x in columns]
        columns[-1] = columns[-1] * torch.tensor([1.0, 0.0]).to(like).repeat(len(tissue))
        cycles = torch.as_tensor(rf_cycles, device=like.device)[:, None] + precession(intervals, tissue.deltaf_hz)
        phase = torch.exp(-2j * torch.pi * cycles)
        phases = list(phase.to(like.dtype.to_complex()).unbind())
    return [_Pulse(*rows) for rows in zip(*(x.unbind() for x in columns), phases, strict=True)]


class _States:
    """The orders of one train, in place: A and B are windows that slide along two buffers, so that a shift is free."""

    def __init__(self, z: Tensor, n_spokes: int, cap: int, real: bool) -> None:
        self._n, width = z.shape
        self._a, self._b = (z.new_zeros(n_spokes + cap, width) for _ in range(2))
        self._z, self._sum, self._d = (z.new_zeros(cap, width) for _ in range(3))
        self._z[: self._n] = z
        self._first_a, self._first_b = n_spokes, 0
        self._mirror = _mirror(z, real)

    @property
    def z(self) -> Tensor:
        """Longitudinal states (orders, width)."""
        return self._z[: self._n]

    def order_zero(self) -> tuple[Tensor, Tensor]:
        """A and Z, (width,) each."""
        return self._a[self._first_a].clone(), self._z[0].clone()

    def strength(self) -> Tensor:
        """Of every order (orders,) in the atom that has most of it."""
        n = self._n
        return _strength(self._a[self._first_a : self._first_a + n], self._b[self._first_b : self._first_b + n], self.z)

    def pulse(self, pulse: _Pulse) -> None:
        """Turn the states about y, and let them relax and precess until the next pulse."""
        n = self._n
        a, b = self._a[self._first_a : self._first_a + n], self._b[self._first_b : self._first_b + n]
        z, total, d = self._z[:n], self._sum[:n], self._d[:n]
        torch.add(a, b, out=total)
        torch.mul(total, pulse.tip, out=d).addcmul_(z, pulse.raise_)
        torch.addcmul(total.mul_(pulse.lower), z, pulse.stay, out=z)
        z[0] += pulse.regrow
        for states, phase in ((a, pulse.phase), (b, None if pulse.phase is None else pulse.phase.conj())):
            torch.addcmul(d, states, pulse.e2, out=states)
            if phase is not None:
                _complex(states).mul_(phase)

    def shift(self, n: int) -> None:
        """What a gradient does: A moves up an order, B moves down; keep n orders."""
        self._z[n : self._n] = 0
        self._b[self._first_b + 1 + n : self._first_b + self._n] = 0
        self._first_a -= 1
        self._first_b += 1
        self._n = n
        torch.mul(self._b[self._first_b], self._mirror, out=self._a[self._first_a])


class _TracedStates:
    """The same out of place, slower, so that derivatives can be had."""

    def __init__(self, z: Tensor, n_spokes: int, cap: int, real: bool) -> None:
        self._a = self._b = torch.zeros_like(z)
        self.z = z
        self._mirror = _mirror(z, real)

    def order_zero(self) -> tuple[Tensor, Tensor]:
        """A and Z, (width,) each."""
        return self._a[0], self.z[0]

    def strength(self) -> Tensor:
        """Of every order (orders,) in the atom that has most of it."""
        return _strength(self._a, self._b, self.z)

    def pulse(self, pulse: _Pulse) -> None:
        """Turn the states about y, and let them relax and precess until the next pulse."""
        total = self._a + self._b
        d = total * pulse.tip + self.z * pulse.raise_
        z = total * pulse.lower + self.z * pulse.stay
        self.z = torch.cat([z[:1] + pulse.regrow, z[1:]])
        self._a, self._b = d + self._a * pulse.e2, d + self._b * pulse.e2
        if pulse.phase is not None:
            self._a = torch.view_as_real(_complex(self._a) * pulse.phase).flatten(1)
            self._b = torch.view_as_real(_complex(self._b) * pulse.phase.conj()).flatten(1)

    def shift(self, n: int) -> None:
        """What a gradient does: A moves up an order, B moves down; keep n orders."""
        a, b, z = (torch.nn.functional.pad(x, (0, 0, 0, 2)) for x in (self._a, self._b, self.z))
        self._a, self._b, self.z = torch.cat([b[1:2] * self._mirror, a])[:n], b[1 : n + 1], z[:n]


def _strength(*states: Tensor) -> Tensor:
    return torch.stack([x.detach().abs().amax(1) for x in states]).amax(0)


def _complex(states: Tensor) -> Tensor:
    return torch.view_as_complex(states.view(len(states), -1, 2))


def _mirror(like: Tensor, real: bool) -> Tensor:
    """What conjugates a row: F_0 is A_0 and conj B_0."""
    return torch.tensor([1.0] if real else [1.0, -1.0]).to(like).repeat(like.shape[1] // (1 if real else 2))
