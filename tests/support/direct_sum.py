"""K-space by its definition: every voxel's signal at every sample, in double precision, without any expansion."""

import numpy as np

from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.fat_spectrum import FatModel
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import pool_signal

SHAPE = (19, 23)


def short_sequence():
    """Three echo times in turn, flip angles all different: no two spokes have the same contrast."""
    te = np.tile([2.39, 3.45, 4.63], 9)
    return PulseSequence("short", np.linspace(4, 31, 27), te, te + 1.2, ti_ms=9.0, recovery_ms=150.0)


def random_phantom(seed=5):
    rng = np.random.default_rng(seed)

    def uniform(low, high):
        return rng.uniform(low, high, SHAPE).astype(np.float32)

    maps = {
        "pd": uniform(0.2, 1), "ff": uniform(0, 1), "t1h2o": uniform(700, 1900), "t2h2o": uniform(30, 60),
        "t1fat": uniform(250, 400), "deltaf": uniform(-100, 100), "b1": uniform(0.4, 1),
    }  # fmt: skip
    maps["pd"][:3] = 0
    maps["ff"][5], maps["t1fat"][5] = 0, 0  # pure water and pure fat have no T1 of the other pool
    maps["ff"][6], maps["t1h2o"][6], maps["t2h2o"][6] = 1, 0, 0
    label, purity = np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.float32)
    return Phantom(**maps, label=label, label_names=("air", "tissue"), purity=purity, fov_mm=200.0)


def random_sensitivities(n_coils=3, seed=2):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n_coils, *SHAPE)) + 1j * rng.standard_normal((n_coils, *SHAPE))).astype(np.complex64)


def golden_k(n_spokes, n_samples, center_sample, oversampling):
    """(spokes, samples, 2) cycles per field of view, written out."""
    angle = np.deg2rad(111.246117975) * np.arange(n_spokes)
    radius = (np.arange(n_samples) - center_sample) / oversampling
    return np.stack([radius * np.cos(angle)[:, None], radius * np.sin(angle)[:, None]], axis=-1)


def sample_signal(phantom, sequence, time_ms, receiver_hz=0.0):
    """(voxels, spokes, samples) of the tissue: off-resonance and fat turn from the pulse to every sample."""
    tissue = phantom.pd > 0
    names = ("pd", "ff", "t1h2o", "t2h2o", "t1fat", "deltaf", "b1")
    pd, ff, t1h2o, t2h2o, t1fat, deltaf, b1 = (getattr(phantom, name)[tissue].astype(float) for name in names)
    undecayed = pool_signal(sequence, np.maximum(t1h2o, 1), b1, np.inf)
    water = undecayed * np.exp(-sequence.te_ms / np.maximum(t2h2o, 1)[:, None])
    fat = pool_signal(sequence, np.maximum(t1fat, 1), b1, 80.0)
    time = sequence.te_ms[:, None] + time_ms
    signal = (1 - ff)[:, None, None] * water[..., None] + ff[:, None, None] * fat[..., None] * FatModel().phasor(time)
    turning = np.exp(-2j * np.pi * 1e-3 * (deltaf[:, None, None] * time - receiver_hz * time_ms))
    return pd[:, None, None] * signal * turning


def direct_sum(phantom, sensitivities, sequence, k, time_ms):
    """(coils, spokes, samples)"""
    ny, nx = phantom.pd.shape
    y, x = np.nonzero(phantom.pd > 0)
    signal = sample_signal(phantom, sequence, time_ms)
    kspace = np.empty((len(sensitivities), *k.shape[:2]), complex)
    for j in range(len(sequence)):
        turns = np.outer((x - nx // 2) / nx, k[j, :, 0]) + np.outer((y - ny // 2) / ny, k[j, :, 1])
        kspace[:, j] = sensitivities[:, y, x] @ (signal[:, j] * np.exp(-2j * np.pi * turns))
    return kspace
