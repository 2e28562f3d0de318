"""The signal of water and fat in an ideally spoiled MRF train, in closed form.

Spoiling is assumed to be ideal, whatever the sequence specifies. `spokestream.simulator.physics.fingerprint` takes the
spoiling of the sequence into account. The phase accrues as exp(-2 pi i f t), both for off-resonance and for fat peaks.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from spokestream.simulator.physics.engines.closed_form import closed_form
from spokestream.simulator.physics.engines.spins import Spins
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence

__all__ = ["FAT_T2_MS", "WATER_T2_MS", "frame_means", "pool_signal", "voxel_signal"]

WATER_T2_MS = 40.0
FAT_T2_MS = 80.0

Array = NDArray[np.float64]


def pool_signal(
    sequence: PulseSequence, t1_ms: ArrayLike, b1: ArrayLike, t2_ms: float, inversion_efficiency: float = 1.0
) -> Array:
    """The signal of one pool at every spoke, real-valued, per unit of proton density.

    Args:
        sequence: the pulse sequence.
        t1_ms: T1, of any shape.
        b1: actual over nominal flip angle, broadcast against `t1_ms`. The inversion does not depend on it.
        t2_ms: T2, for the decay from the excitation to the echo.
        inversion_efficiency: a pulse of efficiency 1 inverts M to -M, a pulse of efficiency 0 leaves no magnetisation.

    Returns:
        The transverse magnetisation (*shape, spokes) at the echo, in units of the equilibrium magnetisation.

    """
    t1, scale = np.broadcast_arrays(np.asarray(t1_ms, float), np.asarray(b1, float))
    t1_flat, b1_flat = (torch.tensor(x.ravel()) for x in (t1, scale))
    tissue = Spins(t1_flat, torch.full_like(t1_flat, t2_ms), b1_flat, torch.zeros_like(t1_flat))
    signal = closed_form(sequence, tissue, inversion_efficiency).numpy() * np.exp(-sequence.te_ms / t2_ms)
    return signal.reshape(*t1.shape, len(sequence))


def frame_means(trains: NDArray[Any], spokes_per_frame: int) -> NDArray[Any]:
    """The mean over the spokes of every frame: (..., spokes) -> (..., frames). The last frame may be shorter."""
    n = trains.shape[-1]
    starts = np.arange(0, n, spokes_per_frame)
    counts = np.diff(np.append(starts, n))
    return np.asarray(np.add.reduceat(trains, starts, axis=-1) / counts)


def voxel_signal(
    sequence: PulseSequence,
    ff: ArrayLike,
    t1h2o_ms: ArrayLike,
    t1fat_ms: ArrayLike,
    deltaf_hz: ArrayLike,
    b1: ArrayLike,
    fat: FatModel | None = None,
) -> NDArray[np.complex128]:
    """The signal (*shape, spokes) of voxels of water and fat at every spoke, per unit of proton density.

    It is [(1 - FF) w(T1w, B1) + FF f(T1f, B1) F(TE)] exp(-2 pi i deltaf TE).
    """
    fat = fat or FatModel()
    fraction, deltaf = (np.asarray(x, float)[..., None] for x in (ff, deltaf_hz))
    water = pool_signal(sequence, t1h2o_ms, b1, WATER_T2_MS)
    lipid = pool_signal(sequence, t1fat_ms, b1, FAT_T2_MS) * fat.phasor(sequence.te_ms)
    phase = np.exp(-2j * np.pi * deltaf * sequence.te_ms * 1e-3)
    return np.asarray(((1 - fraction) * water + fraction * lipid) * phase)
