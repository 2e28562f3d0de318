"""Receiver noise, and how much of it a reconstructed frame will show."""

import numpy as np
from numpy.typing import NDArray

from simulator.phantoms import Phantom
from simulator.sequence import Sequence
from simulator.signal import frame_means, voxel_signal

__all__ = ["add_noise", "frame_noise_gain", "mean_frame_signal", "noise_sigma", "ramp_weights"]

Complex = NDArray[np.complex64]
Covariance = NDArray[np.complex128]

FOREGROUND = 0.1
"""Share of the largest proton density above which a pixel counts as tissue."""
VOXELS = 2000
"""Voxels that the mean signal is taken over."""


def add_noise(kspace: Complex, covariance: Covariance, sigma: float, rng: np.random.Generator) -> Complex:
    """K-space (coils, ...) plus Gaussian noise that is correlated between coils and white otherwise.

    With `covariance` = L L^H, noise whitened by L^-1 has standard deviation `sigma` per real and imaginary part.
    """
    mixing = (sigma * np.linalg.cholesky(covariance)).astype(np.complex64)
    white = rng.standard_normal((len(kspace), kspace[0].size, 2), np.float32).view(np.complex64)[..., 0]
    return kspace + (mixing @ white).reshape(kspace.shape)


def ramp_weights(
    spokes_per_frame: int, n_samples: int, center_sample: float, oversampling: float
) -> NDArray[np.float64]:
    """The share of k-space that each sample of a spoke stands for: (samples,), in (cycles per field of view)^2.

    w = |k| dk pi / m for m spokes with samples dk = 1/oversampling apart, and pi dk^2 / (4 m) at k = 0.
    """
    dk = 1 / oversampling
    radius = np.abs(np.arange(n_samples) - center_sample) * dk
    return np.where(radius > 0, radius * dk * np.pi, np.pi * dk**2 / 4) / spokes_per_frame


def frame_noise_gain(
    shape: tuple[int, int], spokes_per_frame: int, n_samples: int, center_sample: float, oversampling: float
) -> float:
    """Noise sd per re/im of a gridded frame over that of a k-space sample, whitened and coil-combined.

    The image sum(w s(k) exp(2 pi i k.r)) / (ny nx) over the frame's samples, with `ramp_weights` w, has the scale
    of the phantom. White noise comes out of it with sigma sqrt(sum(w^2)) / (ny nx), and a combination with
    unit-norm coil weights leaves it there.
    """
    weight = ramp_weights(spokes_per_frame, n_samples, center_sample, oversampling)
    return float(np.sqrt(spokes_per_frame * np.sum(weight**2)) / (shape[0] * shape[1]))


def mean_frame_signal(phantom: Phantom, sensitivities: Complex, sequence: Sequence, covariance: Covariance) -> float:
    """Mean over tissue and frames of |s|, the fully sampled, whitened frame combined with unit-norm coil weights.

    Raises ValueError when the phantom is empty.
    """
    voxels = np.argwhere(phantom.pd > FOREGROUND * phantom.pd.max())
    if not voxels.size:
        raise ValueError("The phantom holds no tissue, so that noise cannot be set relative to its signal.")
    y, x = voxels[:: -(-len(voxels) // VOXELS)].T
    maps = (getattr(phantom, name)[y, x] for name in ("ff", "t1h2o", "t1fat", "deltaf", "b1"))
    frames = frame_means(voxel_signal(sequence, *maps), sequence.spokes_per_frame)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), sensitivities[:, y, x])
    brightness = phantom.pd[y, x] * np.linalg.norm(whitened, axis=0)
    return float(np.mean(brightness[:, None] * np.abs(frames)))


def noise_sigma(noise: float, mean_signal: float, gain: float) -> float:
    """Sigma for `add_noise` that gives a frame the noise sd (per re/im) `noise` times its mean signal."""
    return noise * mean_signal / gain
