"""A brain of which few points of k-space are measured in every frame, as in the simulations of Song et al. 2019."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.matching.one_pool import OnePoolAtoms
from spokestream.gadgets.restoration.blip import nearest_fingerprints, restore_fingerprints
from spokestream.gadgets.restoration.cartesian import CartesianSampling
from spokestream.gadgets.restoration.flor import low_rank_in_span
from spokestream.gadgets.restoration.measurement import InBasis, OnIteration
from spokestream.gadgets.restoration.multiscale import SCALES, restore_from_coarse_to_fine
from spokestream.gadgets.restoration.nuclear_norm import least_nuclear_norm
from spokestream.pipelines.studies.orthonormal_basis import orthonormal_basis
from spokestream.simulator.phantoms import draw_subject, render
from spokestream.simulator.physics.dictionaries.build_t1t2 import build_t1t2_dictionary
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.dictionaries.t1t2 import GRIDS, T1T2Grid, t1t2_grid
from spokestream.simulator.physics.fingerprint import fingerprint
from spokestream.simulator.physics.sequences.pulse_sequence import PulseSequence
from spokestream.simulator.physics.temporal_basis import TemporalBasis
from spokestream.simulator.physics.trajectory import golden_angles, spiral_arms

__all__ = ["Brain", "Restore", "SampledBrain", "brain", "decibels", "grid", "methods", "sample", "sampling_mask"]

TISSUES = ("spinal fluid", "grey matter", "white matter", "deep grey matter", "lesion")
"""What remains of the head when its outer layers are removed, as in the paper's phantom."""
GAUSSIAN_WIDTH = 0.2
"""Standard deviation of the density of points along ky and kx, relative to the matrix. The paper does not print it."""

Restore = Callable[[OnIteration], Tensor]
"""From what receives the cost, to coefficients in the basis of the dictionary."""


@dataclass(frozen=True, eq=False)
class Brain:
    """The truth in the pixels of the brain."""

    inside: NDArray[np.bool_]
    """(y, x)"""
    maps: dict[str, NDArray[np.float64]]
    """Name of the map -> (voxels,) ms."""
    images: Tensor
    """(frames, y, x) complex64"""


@dataclass(frozen=True, eq=False)
class SampledBrain:
    """What was measured, and the dictionary."""

    frames: CartesianSampling
    coefficients: InBasis
    samples: Tensor
    basis: TemporalBasis
    atoms: OnePoolAtoms


def brain(sequence: PulseSequence, matrix: int, seed: int = 0) -> Brain:
    """One slice, every pixel with the signal of its own T1 and T2 and its proton density."""
    phantom = render("brain", draw_subject("volunteers", seed), matrix=matrix)
    inside = np.isin(phantom.label, [phantom.label_names.index(name) for name in TISSUES]) & (phantom.t2h2o > 0)
    maps = {"t1": phantom.t1h2o[inside].astype(np.float64), "t2": phantom.t2h2o[inside].astype(np.float64)}
    images = np.zeros((len(sequence), matrix, matrix), np.complex64)
    images[:, inside] = (phantom.pd[inside][:, None] * np.asarray(fingerprint(sequence, *maps.values()))).T
    return Brain(inside, maps, torch.from_numpy(images))


def sampling_mask(pattern: str, frames: int, matrix: int, fraction: float, seed: int = 1) -> Tensor:
    """(frames, y, x) bool: in every frame other points, or a spiral of the next golden angle on the nearest points.

    Args:
        pattern: `gaussian` or `uniform` is the density of random points; or `spiral`.
        frames: number of frames.
        matrix: points along y and x.
        fraction: fraction of the points that are sampled in every frame.
        seed: seed of random points.

    """
    n, rng = round(fraction * matrix**2), np.random.default_rng(seed)
    mask = np.zeros((frames, matrix, matrix), bool)
    if pattern == "spiral":
        for frame, arm in zip(mask, spiral_arms(golden_angles(np.arange(frames)), n, matrix, 1.0), strict=True):
            column, row = np.clip(np.rint(arm).astype(int) + matrix // 2, 0, matrix - 1).T
            frame[row, column] = True
        return torch.from_numpy(mask)
    k = (np.arange(matrix) - matrix // 2) / matrix
    density = np.exp(-(k[:, None] ** 2 + k**2).ravel() / (2 * GAUSSIAN_WIDTH**2))
    density = density if pattern == "gaussian" else np.ones_like(density)
    for frame in mask.reshape(frames, -1):
        frame[rng.choice(frame.size, n, replace=False, p=density / density.sum())] = True
    return torch.from_numpy(mask)


def grid(thin: int) -> T1T2Grid:
    """The grid of the paper, of which every axis is thinned by a factor."""
    full = GRIDS["song"]()
    if thin == 1:
        return full
    return t1t2_grid(f"song/{thin}", np.unique(full.t1_ms)[::thin], np.unique(full.t2_ms)[::thin], equal=True)


def sample(truth: Brain, sequence: PulseSequence, mask: Tensor, dictionary: Path, thin: int = 1) -> SampledBrain:
    """Sample the images without noise. The dictionary is read from the file, or made there if it does not exist."""
    built = build_t1t2_dictionary(dictionary, sequence, grid(thin))
    basis = orthonormal_basis(sequence, built.atoms)
    frames = CartesianSampling(mask)
    coefficients = InBasis(frames, torch.from_numpy(basis.weights))
    return SampledBrain(
        frames, coefficients, frames.forward(truth.images), basis, OnePoolAtoms(OnePoolDictionary.of(built), basis)
    )


def methods(scan: SampledBrain, weight: float, iterations: int, projections: int, threads: int) -> dict[str, Restore]:
    """The methods of the paper, BLIP, and the same from coarse to fine; plain is without acceleration.

    All return coefficients in the basis.

    Args:
        scan: what was measured.
        weight: weight of the nuclear norm, in units of the singular values.
        iterations: iterations of FLOR and of the nuclear norm.
        projections: iterations of BLIP; a third of them at every scale.
        threads: CPU threads of BLIP's matching.

    """
    span = torch.from_numpy(scan.basis.weights)

    def nuclear(accelerated: bool) -> Restore:
        def restore(on_iteration: OnIteration) -> Tensor:
            images = least_nuclear_norm(scan.frames, scan.samples, weight, iterations, on_iteration, accelerated)
            return scan.coefficients.project(images)

        return restore

    def project(method: Callable[..., Tensor], iterations: int) -> Restore:
        nearest = nearest_fingerprints(scan.atoms, scan.basis, threads)
        return partial(method, scan.coefficients, scan.samples, nearest, scan.frames.undersampling, iterations)

    return {
        "Ma 2013": lambda on_iteration: scan.coefficients.adjoint(scan.samples),
        "BLIP": project(restore_fingerprints, projections),
        "coarse to fine": project(restore_from_coarse_to_fine, -(-projections // len(SCALES))),
        "FLOR": lambda on_iteration: low_rank_in_span(
            scan.frames, scan.samples, span, weight, iterations, on_iteration
        ),
        "nuclear norm": nuclear(accelerated=True),
        "nuclear norm, plain": nuclear(accelerated=False),
    }


def decibels(true: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """The SNR of a map as the paper defines it."""
    return float(20 * np.log10(np.linalg.norm(true) / np.linalg.norm(true - found)))
