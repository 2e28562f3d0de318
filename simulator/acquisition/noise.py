"""Receiver noise, and how much of it a reconstructed frame will show."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spokestream.errors import InputError
from spokestream.simulator.acquisition.sampling import Sampling
from spokestream.simulator.expansion.signal_expansion import TissueRange, TrainSignal, expand, signal_terms
from spokestream.simulator.phantoms import Phantom
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.signal import frame_means

__all__ = ["add_noise", "frame_noise_gain", "mean_frame_signal", "noise_sigma"]

Complex = NDArray[np.complex64]
Covariance = NDArray[np.complex128]

FOREGROUND = 0.1
"""Share of the largest proton density above which a pixel counts as tissue."""
VOXELS = 2000
"""Voxels that the mean signal is taken over."""
TOLERANCE = 1e-4
"""Of their signal."""


def add_noise(kspace: Complex, covariance: Covariance, sigma: float, rng: np.random.Generator) -> Complex:
    """K-space (coils, ...) plus Gaussian noise that is correlated between coils and white otherwise.

    With `covariance` = L L^H, noise whitened by L^-1 has standard deviation `sigma` per real and imaginary part.
    """
    mixing = (sigma * np.linalg.cholesky(covariance)).astype(np.complex64)
    white = rng.standard_normal((len(kspace), kspace[0].size, 2), np.float32).view(np.complex64)[..., 0]
    return kspace + (mixing @ white).reshape(kspace.shape)


def frame_noise_gain(readout: Sampling, spokes_per_frame: int, shape: tuple[int, int]) -> float:
    """Noise sd per re/im of a gridded frame over that of a k-space sample, whitened and coil-combined.

    The image sum(w s(k) exp(2 pi i k.r)) / (ny nx) over the frame's samples has the scale of the phantom when w is
    the readout's density over the spokes of a frame. White noise comes out of it with sigma sqrt(sum(w^2)) / (ny nx),
    and a combination with unit-norm coil weights leaves it there.
    """
    weight = readout.density / spokes_per_frame
    return float(np.sqrt(spokes_per_frame * np.sum(weight**2)) / (shape[0] * shape[1]))


def mean_frame_signal(
    phantom: Phantom, sensitivities: Complex, sequence: PulseSequence, signal: TrainSignal, covariance: Covariance
) -> float:
    """Mean over tissue and frames of |s|, the fully sampled, whitened frame combined with unit-norm coil weights.

    Raises InputError when the phantom is empty.
    """
    voxels = np.argwhere(phantom.pd > FOREGROUND * phantom.pd.max())
    if not voxels.size:
        raise InputError("The phantom holds no tissue, so that noise cannot be set relative to its signal.")
    chosen = np.zeros(phantom.pd.shape, bool)
    chosen[tuple(voxels[:: -(-len(voxels) // VOXELS)].T)] = True
    few = replace(phantom, pd=np.where(chosen, phantom.pd, 0))
    terms = signal_terms(sequence, signal, np.zeros(1), TissueRange.of(few), TOLERANCE)
    trains = np.empty((np.count_nonzero(chosen), len(sequence)), complex)
    for group, images in zip(terms, expand(few, terms), strict=True):
        products = [group.trains[train] * group.evolutions[evolution] for train, evolution in group.pairs]
        trains[:, group.spokes] = images.T @ np.array(products)
    frames = frame_means(trains, sequence.spokes_per_frame)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), sensitivities[:, chosen])
    return float(np.mean(np.linalg.norm(whitened, axis=0)[:, None] * np.abs(frames)))


def noise_sigma(noise: float, mean_signal: float, gain: float) -> float:
    """Sigma for `add_noise` that gives a frame the noise sd (per re/im) `noise` times its mean signal."""
    return noise * mean_signal / gain
