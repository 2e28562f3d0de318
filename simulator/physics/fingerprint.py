"""The signal of tissue at every spoke of a sequence: one question, whatever the sequence spoils."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spokestream.simulator.physics.engines.bloch import bloch
from spokestream.simulator.physics.engines.closed_form import closed_form
from spokestream.simulator.physics.engines.epg import epg, is_real, orders_needed
from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["Engine", "fingerprint"]

Solve = Callable[[Spins, int], Tensor]
"""Spins, orders to keep -> (atoms, spokes) right after the pulses."""

Engine = Literal["closed form", "epg", "bloch"]

CHUNK = {"cpu": 2**18, "cuda": 2**24}
"""States, atoms times orders, that go through the train together: what stays in the caches, what fills the device."""
WIDEST = {"cpu": 2**10, "cuda": 2**17}
"""Atoms in a chunk at most: every one has a table of what each pulse does to it."""


def fingerprint(
    sequence: PulseSequence,
    t1_ms: ArrayLike | Tensor,
    t2_ms: ArrayLike | Tensor,
    *,
    b1: ArrayLike | Tensor = 1.0,
    deltaf_hz: ArrayLike | Tensor = 0.0,
    inversion_efficiency: float = 1.0,
    slice_profile: ArrayLike | None = None,
    engine: Engine | None = None,
    orders: int | None = None,
    dephasing_cycles: float = 1.0,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device | None = None,
    threads: int | None = None,
) -> Any:
    """Transverse magnetisation at the echo of every spoke, in units of equilibrium magnetisation.

    The magnetisation starts in equilibrium and goes through all repetitions of the sequence: inversion, TI, train,
    recovery; the last train is returned. Crushers leave nothing transverse before the inversion and before the train.
    The receiver follows the phase of the pulses: positive longitudinal magnetisation gives a positive real signal.
    Off-resonance turns it by exp(-2 pi i deltaf TE) at the echo and goes on turning until the next pulse.

    Args:
        sequence: trains, spoiling, times, repetitions.
        t1_ms: as the next three, of any shapes that broadcast.
        t2_ms: decay of a refocused signal. There is no further decay from within the voxel.
        b1: flip angle over nominal. The inversion is taken as independent of it.
        deltaf_hz: off-resonance.
        inversion_efficiency: 1 turns M into -M, 0 leaves nothing, -1 is no inversion.
        slice_profile: (sub-slices,) their flip angles over nominal; the signal is the mean. None: one slice, of 1.
        engine: `closed form` for ideal spoiling only, `epg`, or `bloch`; None takes the first of these that can.
        orders: EPG: orders kept; None for an error below 1e-4, as many as all repetitions have spokes for none. Bloch:
            isochromats; None for one more than that.
        dephasing_cycles: by which a spoiling gradient dephases the voxel; other than 1 takes Bloch.
        dtype: torch.float32 or float64.
        device: to compute on; None is that of the first tensor among the tissue arguments, or else the CPU.
        threads: of the CPU; None is torch's number.

    Returns:
        (*shape, spokes) complex; real where off-resonance is zero and neither the phase of the pulses nor isochromats
        make it complex. A tensor if `t1_ms` is one, differentiable with respect to the tissue; an array if not.

    Raises:
        ValueError: T1 or T2 not positive, anything not finite, an engine that cannot say what the sequence does.

    """
    engine = _engine_for(sequence, engine, dephasing_cycles)
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype is torch.float32 or torch.float64, not {dtype}")
    if orders is not None and orders < 1:
        raise ValueError(f"at least one order or isochromat must be kept, not {orders}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    if not np.isfinite(dephasing_cycles):
        raise ValueError("cycles of dephasing must be finite")
    if not (np.isfinite(inversion_efficiency) and abs(inversion_efficiency) <= 1):
        raise ValueError(f"inversion efficiency lies within -1 and 1, not {inversion_efficiency}")
    given = (t1_ms, t2_ms, b1, deltaf_hz)
    if device is None:
        device = next((x.device for x in given if isinstance(x, Tensor)), "cpu")
    fields = [torch.as_tensor(x, dtype=dtype, device=device) for x in given]
    shape = np.broadcast_shapes(*(x.shape for x in fields))
    tissue = Spins(*(x.expand(shape).reshape(-1) for x in fields))
    _validate(tissue)
    profile = torch.as_tensor([1.0] if slice_profile is None else slice_profile, dtype=dtype, device=device)
    if profile.ndim != 1 or not len(profile) or not bool(profile.isfinite().all()):
        raise ValueError("a slice profile is a list of finite flip-angle factors")

    orders_of_atom, solve = _solver(sequence, tissue, engine, orders, inversion_efficiency, dephasing_cycles)
    still = not bool(tissue.deltaf_hz.any())
    traced = tissue.requires_grad  # asked here, since threads have a mind of their own about it

    def at_the_echo(atoms: Tensor) -> Tensor:
        with torch.inference_mode(not traced):
            part = tissue[atoms]
            after_pulse = solve(part.across(profile), int(orders_of_atom[atoms[0]]))
            return after_pulse.view(len(atoms), -1, len(sequence)).mean(1) * _decay(sequence, part, still)

    order = orders_of_atom.argsort(descending=True, stable=True)
    chunks = list(_chunks(order, orders_of_atom * len(profile)))
    if len(chunks) < 2:
        parts = [at_the_echo(atoms) for atoms in chunks]
    else:
        n = threads or torch.get_num_threads()
        with ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = list(pool.map(at_the_echo, chunks))
    signal = torch.cat([tissue.t1_ms.new_zeros(0, len(sequence)), *parts])[order.argsort()]
    signal = signal.reshape(*shape, len(sequence))
    return signal if isinstance(t1_ms, Tensor) else signal.numpy(force=True)


def _engine_for(sequence: PulseSequence, engine: Engine | None, dephasing_cycles: float) -> Engine:
    """The first that can, or the one asked for if it can."""
    can: tuple[Engine, ...] = get_args(Engine)
    if sequence.spoiling != "ideal":
        can = can[1:]
    if sequence.spoiling == "gradient" and dephasing_cycles != 1:
        can = ("bloch",)
    if engine is None:
        return can[0]
    if engine not in can:
        raise ValueError(f"the engine for this is one of {', '.join(can)}, not '{engine}'")
    return engine


def _validate(tissue: Spins) -> None:
    for what, values in (("T1", tissue.t1_ms), ("T2", tissue.t2_ms)):
        if not bool(((values > 0) & values.isfinite()).all()):
            raise ValueError(f"{what} must be finite and positive")
    for what, values in (("B1", tissue.b1), ("off-resonance", tissue.deltaf_hz)):
        if not bool(values.isfinite().all()):
            raise ValueError(f"{what} must be finite")


def _solver(
    sequence: PulseSequence,
    tissue: Spins,
    engine: Engine,
    orders: int | None,
    efficiency: float,
    dephasing_cycles: float,
) -> tuple[Tensor, Solve]:
    """(atoms,) orders that each needs, and what solves some of them with one number of orders."""
    if engine == "closed form":
        return _all(tissue, 1), lambda part, _: closed_form(sequence, part, efficiency)
    if engine == "bloch":
        isochromats = orders or len(sequence) * sequence.repetitions + 1
        return _all(tissue, isochromats), lambda part, n: bloch(
            sequence, part, efficiency, isochromats=n, dephasing_cycles=dephasing_cycles
        )
    real = is_real(sequence, tissue.deltaf_hz)
    needed = orders_needed(sequence, tissue.t2_ms.detach()) if orders is None else _all(tissue, orders)
    return needed, lambda part, n: epg(sequence, part, efficiency, orders=n, real=real, trim=orders is None)


def _all(tissue: Spins, orders: int) -> Tensor:
    return torch.full_like(tissue.t1_ms, orders, dtype=torch.int64)


def _chunks(order: Tensor, work: Tensor) -> Iterator[Tensor]:
    """Split what is in order of descending work, so that the atoms of a chunk need about as many orders."""
    descending, device = work[order].tolist(), work.device.type
    begin = 0
    while begin < len(order):
        size = min(max(CHUNK[device] // descending[begin], 1), WIDEST[device])
        yield order[begin : begin + size]
        begin += size


def _decay(sequence: PulseSequence, tissue: Spins, still: bool) -> Tensor:
    """(atoms, spokes) from the pulse to the echo: T2, and off-resonance unless there is none."""
    te, of_spoke = np.unique(sequence.te_ms, return_inverse=True)
    times = torch.as_tensor(te).to(tissue.t2_ms)
    decay = torch.exp(-times / tissue.t2_ms[:, None])
    if not still:
        decay = decay * torch.exp(-2j * torch.pi * 1e-3 * times * tissue.deltaf_hz[:, None])
    return decay[:, of_spoke]
