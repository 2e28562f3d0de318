"""Receiver noise, and the noise level of a reconstructed frame."""

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
"""Fraction of the largest proton density above which a pixel counts as tissue."""
VOXELS = 2000
"""Largest number of voxels that the mean signal is computed from."""
TOLERANCE = 1e-4
"""Tolerance of the expansion of their signal, see `signal_terms`."""


def add_noise(kspace: Complex, covariance: Covariance, sigma: float, rng: np.random.Generator) -> Complex:
    """The k-space (coils, ...) plus Gaussian noise, which is correlated between coils and white otherwise.

    With `covariance` = L L^H, noise whitened by L^-1 has the standard deviation `sigma` in the real and in the
    imaginary part.
    """
    mixing = (sigma * np.linalg.cholesky(covariance)).astype(np.complex64)
    white = rng.standard_normal((len(kspace), kspace[0].size, 2), np.float32).view(np.complex64)[..., 0]
    return kspace + (mixing @ white).reshape(kspace.shape)


def frame_noise_gain(readout: Sampling, spokes_per_frame: int, shape: tuple[int, int]) -> float:
    """The standard deviation of noise in a gridded, coil-combined frame over that of a whitened k-space sample.

    Both are per real and imaginary part. The image sum(w s(k) exp(2 pi i k.r)) / (ny nx) over the samples of a frame
    has the scale of the phantom if w is the density of the readout divided by the number of spokes of a frame. White
    noise has the standard deviation sigma sqrt(sum(w^2)) / (ny nx) in it. A combination with unit-norm coil weights
    does not change that.
    """
    weight = readout.density / spokes_per_frame
    return float(np.sqrt(spokes_per_frame * np.sum(weight**2)) / (shape[0] * shape[1]))


def mean_frame_signal(
    phantom: Phantom, sensitivities: Complex, sequence: PulseSequence, signal: TrainSignal, covariance: Covariance
) -> float:
    """The mean signal magnitude over tissue and frames, without undersampling, whitened and coil-combined.

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
    """The sigma for `add_noise` with which a frame's noise, per real and imaginary part, is `noise` times its mean."""
    return noise * mean_signal / gain
