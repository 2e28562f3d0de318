"""How training slices are varied: another receive coil in front of them, and more noise."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Augmentation", "radial_noise", "vary"]


@dataclass(frozen=True)
class Augmentation:
    """How far training slices are varied; what the shards vary themselves (coils, delays) is not done again."""

    noise: float = 0.05
    """Largest standard deviation of further receiver noise, of the slice's root mean square coefficient."""
    shading: float = 0.3
    """Largest natural logarithm of a smooth receive sensitivity on top of the coils'; its phase is any."""


def vary(fingerprints: Tensor, foreground: Tensor, how: Augmentation, rng: np.random.Generator) -> Tensor:
    """Another receive coil and more noise for (K, y, x) coefficients of one slice."""
    shape = fingerprints.shape[1:]
    level = rng.uniform(0, how.noise) * fingerprints[:, foreground].abs().square().mean().sqrt()
    phase = _polynomial(shape, rng, np.pi) + rng.uniform(-np.pi, np.pi)
    receive = torch.polar(_polynomial(shape, rng, how.shading).exp(), phase)
    return fingerprints * receive + level * radial_noise(tuple(fingerprints.shape), rng)


def radial_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Complex noise of variance 1 as gridded radial spokes have it: its power grows with spatial frequency."""
    white = torch.from_numpy(rng.standard_normal((*shape, 2), np.float32))
    frequency = torch.hypot(torch.fft.fftfreq(shape[-2])[:, None], torch.fft.fftfreq(shape[-1]))
    colour = (frequency / frequency.mean()).sqrt()
    noise: Tensor = torch.fft.ifft2(torch.view_as_complex(white) * colour, norm="ortho") * 0.5**0.5
    return noise


def _polynomial(shape: tuple[int, ...], rng: np.random.Generator, largest: float) -> Tensor:
    """(y, x) random quadratic within `largest` of zero."""
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    a = torch.from_numpy(rng.uniform(-1, 1, 5).astype(np.float32))
    y = y[:, None]
    return largest / 5 * (a[0] * x + a[1] * y + a[2] * x * x + a[3] * x * y + a[4] * y * y)
