"""Restoration from coarse to fine, after the multiscale reconstruction of Pierre et al., Magn Reson Med 2016;75:2481.

Near k = 0, every frame has more samples than further out, so that blurred images have less aliasing and are matched
more reliably. Their fingerprints are a better start for finer images than images of zero. Fang et al. (IEEE Trans Med
Imaging 2019;38:2364) compare their network with this method as CSMR: it joins multiple resolutions with the iterations
of compressed sensing, which are data consistency and the projection onto the dictionary (see `blip`).

The idea is that of the papers. The window, its widths and the steps are ours.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from spokestream.gadgets.restoration.blip import Nearest, restore_fingerprints
from spokestream.gadgets.restoration.measurement import Measurement, OnIteration, ignore

__all__ = ["SCALES", "low_resolution", "restore_from_coarse_to_fine"]

SCALES = (0.5, 1.0, inf)
"""Extents of k-space that are used one after the other, in units of its edge; all of it in the end."""


def low_resolution(images: Tensor, extent: float) -> Tensor:
    """The images (images, y, x), with k-space weighted by a Hann window of its distance from 0.

    Args:
        images: (images, y, x), complex.
        extent: distance at which the weight is 0, in units of the edge of k-space; infinite for the images themselves.

    """
    along = [torch.fft.fftfreq(n, dtype=images.real.dtype).abs() * 2 for n in images.shape[1:]]
    distance = torch.hypot(along[0][:, None], along[1]).clamp(max=extent) / extent
    blurred: Tensor = torch.fft.ifft2(torch.fft.fft2(images) * (0.5 + 0.5 * torch.cos(torch.pi * distance)))
    return blurred


def restore_from_coarse_to_fine(
    measurement: Measurement,
    samples: Tensor,
    nearest: Nearest,
    first_step: float,
    iterations: int,
    on_iteration: OnIteration = ignore,
    scales: Sequence[float] = SCALES,
) -> Tensor:
    """The images (images, y, x) after the same number of iterations at every scale, from zero.

    An iteration is a gradient step of the misfit, then low resolution, then the projection onto the dictionary.

    Args:
        measurement: the map from images to samples.
        samples: what was measured.
        nearest: the projection onto the dictionary.
        first_step: the step that every iteration tries first, see `restore_fingerprints`.
        iterations: number at every scale, 1 or more.
        on_iteration: receives half the energy of the residual, which may rise where the scale changes.
        scales: extents of k-space, one or more, ascending.

    """
    images: Tensor | None = None
    for before, extent in enumerate(scales):

        def blurred(finer: Tensor, extent: float = extent) -> Tensor:
            return nearest(low_resolution(finer, extent))

        def note(iteration: int, cost: float, done: int = before * iterations) -> None:
            on_iteration(done + iteration, cost)

        images = restore_fingerprints(measurement, samples, blurred, first_step, iterations, note, images)
    assert images is not None
    return images
