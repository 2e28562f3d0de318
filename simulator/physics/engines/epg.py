"""Extended phase graphs: magnetisation over the voxel as a Fourier series (Hennig 1991; Weigel 2015).

Order k holds the magnetisation dephased by k gradients: A_k = F_k, B_k = conj F_-k, and Z_k. In the frame that follows
the RF phase, every pulse is a rotation about y, with real coefficients, and does not change A - B:

    A <- A + d,  B <- B + d,  Z <- cos Z - sin (A + B) / 2,   with d = (cos - 1) (A + B) / 2 + sin Z

Steps of the RF phase and off-resonance change the phase of A and B between pulses. A phase that is equal in every TR
only shifts the pattern of dephasing along the gradient, which does not change order 0. Then all states are real, which
takes a quarter of the work.
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
"""An order is kept if it can still contribute more than this, in units of equilibrium magnetisation."""
TRIM = 12
"""The orders that are too weak are removed once in this many pulses."""


def orders_needed(sequence: PulseSequence, t2_ms: Tensor) -> Tensor:
    """The number of orders (atoms,) that can contribute, including order 0, for pulses of any strength.

    Magnetisation that returns from order k was transverse for k repetition times on its way out, and for k on its way
    back.
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
    """Whether the states are real: the RF phase changes only by half cycles, and off-resonance has no effect.

    Off-resonance has no effect if it is zero, or with gradient spoiling and a constant TR.
    """
    intervals = distinct_intervals(sequence)
    same_tr = sequence.spoiling == "gradient" and bool(np.ptp(intervals.tr_ms) == 0)
    half_cycles = 2 * _rf_cycles(sequence, intervals)
    return bool(np.abs(half_cycles - half_cycles.round()).max() < 1e-9) and (same_tr or not bool(deltaf_hz.any()))


def epg(
    sequence: PulseSequence, tissue: Spins, inversion_efficiency: float, *, orders: int, real: bool, trim: bool
) -> Tensor:
    """The magnetisation (atoms, spokes) immediately after each pulse, real or complex.

    Orders that cannot return before the end of the last train are left out, because they do not contribute.

    Args:
        sequence: with balanced gradients or ideal spoiling there is only order 0.
        tissue: the atoms.
        inversion_efficiency: 1 changes M to -M.
        orders: number of orders to keep, including order 0. As many as all repetitions have spokes is exact.
        real: whether states are real, from `is_real`; complex states are always correct.
        trim: whether to leave out orders that have become too weak to contribute.

    """
    intervals = distinct_intervals(sequence)
    pulses = _pulses(sequence, intervals, tissue, real)
    gradient, n_spokes = sequence.spoiling == "gradient", len(sequence)
    cap = orders if gradient else 1
    # complex states are stored as pairs of real numbers, because almost all operations on them are real
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
    """The factors (atoms,) by which a pulse and the relaxation after it change the states."""

    tip: Tensor
    """(cos - 1) / 2 E2, from A + B to A and B."""
    raise_: Tensor
    """sin E2, from Z to A and B."""
    lower: Tensor
    """-sin / 2 E1, from A + B to Z."""
    stay: Tensor
    """cos E1, from Z to Z."""
    e2: Tensor
    regrow: Tensor
    """1 - E1, in the real part."""
    phase: Tensor | None
    """The complex phase factor of A until the next pulse; B has its conjugate. None for real states."""


def _rf_cycles(sequence: PulseSequence, intervals: Intervals) -> NDArray[np.float64]:
    """RF phase steps (distinct,) in cycles. A common step has no effect with gradient spoiling, and is removed."""
    return intervals.rf_cycles - (intervals.rf_cycles[0] if sequence.spoiling == "gradient" else 0)


def _pulses(sequence: PulseSequence, intervals: Intervals, tissue: Spins, real: bool) -> list[_Pulse]:
    """The factors of each distinct interval."""
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
    """The states of one train, updated in place. A and B are windows that slide along buffers: shifts cost nothing."""

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
        """A and Z of order 0, (width,) each."""
        return self._a[self._first_a].clone(), self._z[0].clone()

    def strength(self) -> Tensor:
        """The largest magnitude (orders,) of every order over all atoms."""
        n = self._n
        return _strength(self._a[self._first_a : self._first_a + n], self._b[self._first_b : self._first_b + n], self.z)

    def pulse(self, pulse: _Pulse) -> None:
        """Rotate the states about y, and let them relax and precess until the next pulse."""
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
        """Apply a gradient: A moves up by one order, B moves down. The first n orders are kept."""
        self._z[n : self._n] = 0
        self._b[self._first_b + 1 + n : self._first_b + self._n] = 0
        self._first_a -= 1
        self._first_b += 1
        self._n = n
        torch.mul(self._b[self._first_b], self._mirror, out=self._a[self._first_a])


class _TracedStates:
    """The states of one train, not updated in place. This is slower, but differentiable."""

    def __init__(self, z: Tensor, n_spokes: int, cap: int, real: bool) -> None:
        self._a = self._b = torch.zeros_like(z)
        self.z = z
        self._mirror = _mirror(z, real)

    def order_zero(self) -> tuple[Tensor, Tensor]:
        """A and Z of order 0, (width,) each."""
        return self._a[0], self.z[0]

    def strength(self) -> Tensor:
        """The largest magnitude (orders,) of every order over all atoms."""
        return _strength(self._a, self._b, self.z)

    def pulse(self, pulse: _Pulse) -> None:
        """Rotate the states about y, and let them relax and precess until the next pulse."""
        total = self._a + self._b
        d = total * pulse.tip + self.z * pulse.raise_
        z = total * pulse.lower + self.z * pulse.stay
        self.z = torch.cat([z[:1] + pulse.regrow, z[1:]])
        self._a, self._b = d + self._a * pulse.e2, d + self._b * pulse.e2
        if pulse.phase is not None:
            self._a = torch.view_as_real(_complex(self._a) * pulse.phase).flatten(1)
            self._b = torch.view_as_real(_complex(self._b) * pulse.phase.conj()).flatten(1)

    def shift(self, n: int) -> None:
        """Apply a gradient: A moves up by one order, B moves down. The first n orders are kept."""
        a, b, z = (torch.nn.functional.pad(x, (0, 0, 0, 2)) for x in (self._a, self._b, self.z))
        self._a, self._b, self.z = torch.cat([b[1:2] * self._mirror, a])[:n], b[1 : n + 1], z[:n]


def _strength(*states: Tensor) -> Tensor:
    return torch.stack([x.detach().abs().amax(1) for x in states]).amax(0)


def _complex(states: Tensor) -> Tensor:
    return torch.view_as_complex(states.view(len(states), -1, 2))


def _mirror(like: Tensor, real: bool) -> Tensor:
    """The signs that conjugate a row, because F_0 equals A_0 and conj B_0."""
    return torch.tensor([1.0] if real else [1.0, -1.0]).to(like).repeat(like.shape[1] // (1 if real else 2))
