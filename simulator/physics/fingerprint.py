"""The signal of tissue at every spoke of a sequence with any kind of spoiling."""

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
"""Computes the magnetisation (atoms, spokes) immediately after the pulses, from spins and the orders to keep."""

Engine = Literal["closed form", "epg", "bloch"]

CHUNK = {"cpu": 2**18, "cuda": 2**24}
"""Number of states (atoms times orders) that are computed together: they fit into the caches, or fill the GPU."""
WIDEST = {"cpu": 2**10, "cuda": 2**17}
"""Largest number of atoms in a chunk: every atom has a table of the factors of each pulse."""


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
    """The transverse magnetisation at the echo of every spoke, in units of equilibrium magnetisation.

    The magnetisation starts in equilibrium and goes through all repetitions of the sequence: inversion, TI, train,
    recovery. The last train is returned. Crushers remove transverse magnetisation before the inversion and before the
    train. The receiver follows the phase of the pulses, so that positive longitudinal magnetisation gives a positive
    real signal. Off-resonance multiplies it by exp(-2 pi i deltaf TE) at the echo, and acts until the next pulse.

    Args:
        sequence: trains, spoiling, times, repetitions.
        t1_ms: T1; its shape and those of the next three arguments must broadcast.
        t2_ms: T2, the decay of a refocused signal. There is no further decay from dephasing within the voxel.
        b1: flip angle over nominal. The inversion does not depend on it.
        deltaf_hz: off-resonance.
        inversion_efficiency: 1 changes M to -M, 0 saturates, -1 is no inversion.
        slice_profile: (sub-slices,) flip angles over nominal; the signal is the mean. None is a rectangular profile.
        engine: `closed form` (only for ideal spoiling), `epg`, or `bloch`. None takes the first that is possible.
        orders: for EPG, the number of orders; None makes the error smaller than 1e-4, and as many as all repetitions
            have spokes is exact. For Bloch, the number of isochromats; None takes one more than that.
        dephasing_cycles: cycles by which a spoiling gradient dephases the voxel; other values than 1 need Bloch.
        dtype: torch.float32 or float64.
        device: where to compute; None takes the device of the first tensor among the tissue arguments, or else the CPU.
        threads: CPU threads; None takes torch's number.

    Returns:
        (*shape, spokes) complex, or real if off-resonance is zero and neither the phase of the pulses nor isochromats
        make it complex. It is a tensor if `t1_ms` is one, differentiable with respect to the tissue; or else an array.

    Raises:
        ValueError: a programming error: T1 or T2 is not positive, a value is not finite, or the engine does not fit the
            sequence.

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
    traced = tissue.requires_grad  # read here, because every thread has its own gradient mode

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
    """The engine asked for, or the first that is possible. Raises ValueError, a programming error, for another one."""
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
    """The number of orders (atoms,) that each atom needs, and the function that computes atoms with equal orders."""
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
    """Split the atoms, sorted by descending work, so that the atoms of a chunk need about the same number of orders."""
    descending, device = work[order].tolist(), work.device.type
    begin = 0
    while begin < len(order):
        size = min(max(CHUNK[device] // descending[begin], 1), WIDEST[device])
        yield order[begin : begin + size]
        begin += size


def _decay(sequence: PulseSequence, tissue: Spins, still: bool) -> Tensor:
    """The factors (atoms, spokes) from the pulse to the echo: T2 decay, and off-resonance if there is any."""
    te, of_spoke = np.unique(sequence.te_ms, return_inverse=True)
    times = torch.as_tensor(te).to(tissue.t2_ms)
    decay = torch.exp(-times / tissue.t2_ms[:, None])
    if not still:
        decay = decay * torch.exp(-2j * torch.pi * 1e-3 * times * tissue.deltaf_hz[:, None])
    return decay[:, of_spoke]
