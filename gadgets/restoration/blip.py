"""BLIP: every pixel is a multiple of an atom, by gradient steps that are projected onto the dictionary.

Davies et al., SIAM J Imaging Sci 2014;7:2623. The paper's density is real; here it has the phase of the pixel.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.restoration.measurement import Measurement, OnIteration, half_energy, ignore
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import ATOM
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["Nearest", "nearest_fingerprints", "restore_fingerprints"]

Nearest = Callable[[Tensor], Tensor]
"""From images (images, y, x) to the nearest ones in which every pixel is a multiple of an atom."""
SHORTER = 0.99
"""A step is at most this fraction of the longest one with which the cost cannot rise, as in the paper."""


def nearest_fingerprints(atoms: OnePoolAtoms, basis: TemporalBasis, threads: int = 1) -> Nearest:
    """The projection onto the multiples of the atoms, by exact matching.

    Args:
        atoms: the atoms in the basis.
        basis: the temporal basis of the images.
        threads: CPU threads; the result does not depend on their number.

    Raises ValueError, a programming error, for a basis whose noise is not 1: the best match is then not the nearest.

    """
    if (basis.noise != 1).any():
        raise ValueError("The images of the basis have different noise.")
    coefficients = torch.from_numpy(atoms.dictionary.in_basis(basis))

    def nearest(images: Tensor) -> Tensor:
        match: Match = atoms.match(images.flatten(1).T, threads)
        density = torch.from_numpy(match.rho)
        return (density * coefficients[torch.from_numpy(match.index[ATOM])].T).to(images.dtype).view(images.shape)

    return nearest


def restore_fingerprints(
    measurement: Measurement,
    samples: Tensor,
    nearest: Nearest,
    first_step: float,
    iterations: int,
    on_iteration: OnIteration = ignore,
    start: Tensor | None = None,
) -> Tensor:
    """The images (images, y, x) after some iterations; half the energy of the residual falls in each of them.

    With a step below |d|² / |A d|², where d is the change of the images and A d that of their samples, the new images
    minimise an upper bound of the cost that equals it at the old ones. Longer steps are halved until that is so. The
    method ends earlier when the images do not change.

    Args:
        measurement: the map from images to samples.
        samples: what was measured.
        nearest: the projection onto the dictionary.
        first_step: the step that every iteration tries first; in the paper, the number of unknowns for each sample.
        iterations: 1 or more.
        on_iteration: receives the cost.
        start: the images to begin with; None is zero.

    """
    if start is None:
        images, residual = 0 * measurement.adjoint(samples), -samples
    else:
        images, residual = start, measurement.forward(start) - samples
    for iteration in range(1, iterations + 1):
        gradient, step = measurement.adjoint(residual), first_step
        while True:
            change = nearest(images - step * gradient) - images
            of_samples = measurement.forward(change)
            if step * half_energy(of_samples) <= SHORTER * half_energy(change):
                break
            step /= 2
        images, residual = images + change, residual + of_samples
        on_iteration(iteration, half_energy(residual))
        if not change.any():
            break
    return images
