"""Augmentation of training slices: the sensitivity of another receive coil, more noise, and mirror images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.imaging.image_kinds import ADJOINT, ITERATIVE

__all__ = ["AUGMENTATION", "Augmentation", "mirrored", "radial_noise", "vary"]


@dataclass(frozen=True)
class Augmentation:
    """Strength of the augmentation. Coils and delays already vary between the subjects of a training set."""

    noise: float = 0.05
    """Largest standard deviation of the added noise, relative to the root mean square coefficient of the slice."""
    shading: float = 0.3
    """Largest natural logarithm of the added smooth receive sensitivity; its phase is arbitrary."""
    mirrored: bool = False
    """Whether a slice is mirrored along x, y and the diagonal, each with a probability of one half."""


AUGMENTATION = {ADJOINT: Augmentation(), ITERATIVE: Augmentation(noise=0.0, mirrored=True)}
"""The augmentation of a training set by its images. White noise would hide the weak coefficients of iterative images,
which have little noise of their own. They take longer to make, so that sets have fewer slices: these are mirrored."""


def vary(fingerprints: Tensor, foreground: Tensor, how: Augmentation, rng: np.random.Generator) -> Tensor:
    """The coefficients (K, y, x) of one slice with the sensitivity of another receive coil and more noise."""
    shape = fingerprints.shape[1:]
    level = rng.uniform(0, how.noise) * fingerprints[:, foreground].abs().square().mean().sqrt()
    phase = _polynomial(shape, rng, np.pi) + rng.uniform(-np.pi, np.pi)
    receive = torch.polar(_polynomial(shape, rng, how.shading).exp(), phase)
    received = fingerprints * receive
    return received + level * radial_noise(tuple(fingerprints.shape), rng) if how.noise else received


def mirrored(item: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """A slice of a training set, all arrays (..., y, x) of which are mirrored at random."""
    along_y, along_x, diagonal = (rng.random(3) < 0.5).tolist()
    axes = [axis for axis, chosen in ((-2, along_y), (-1, along_x)) if chosen]

    def turned(values: Tensor) -> Tensor:
        if values.ndim < 2:
            return values
        values = values.flip(axes)
        return values.transpose(-2, -1) if diagonal else values

    return {name: turned(values) for name, values in item.items()}


def radial_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Complex noise of variance 1 like that of gridded radial spokes: its power grows with spatial frequency."""
    white = torch.from_numpy(rng.standard_normal((*shape, 2), np.float32))
    frequency = torch.hypot(torch.fft.fftfreq(shape[-2])[:, None], torch.fft.fftfreq(shape[-1]))
    colour = (frequency / frequency.mean()).sqrt()
    noise: Tensor = torch.fft.ifft2(torch.view_as_complex(white) * colour, norm="ortho") * 0.5**0.5
    return noise


def _polynomial(shape: tuple[int, ...], rng: np.random.Generator, largest: float) -> Tensor:
    """A random quadratic polynomial (y, x) with values between -`largest` and `largest`."""
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    a = torch.from_numpy(rng.uniform(-1, 1, 5).astype(np.float32))
    y = y[:, None]
    return largest / 5 * (a[0] * x + a[1] * y + a[2] * x * x + a[3] * x * y + a[4] * y * y)
