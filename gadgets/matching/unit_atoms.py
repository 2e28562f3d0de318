"""The atoms of one pool scaled to norm 1, and the comparison of voxels with some of them in double precision."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import ATOM, OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["ROUNDING", "Candidates", "UnitAtoms", "energies", "times"]

CHUNK = 4096
"""Number of voxels that are searched at once; it limits the memory."""
ROUNDING = 1e-5
"""Relative allowance for rounding errors of single precision; candidates within it are compared in double precision."""

Candidates = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From voxels (voxels, K) complex64 of norm 1, or of norm 0 if they have no signal, to the voxel and the atom of every
pair that may be the best. A voxel without any pair gets the first atom."""


class UnitAtoms:
    """The atoms of a dictionary of one pool in a temporal basis, divided by their noise and scaled to norm 1."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        atoms = dictionary.in_basis(basis) / basis.noise
        self.noise = torch.from_numpy(basis.noise.astype(np.float64))
        self.norm = torch.from_numpy(np.linalg.norm(atoms, axis=1))
        """(atoms,) norm before scaling"""
        self.unit = torch.from_numpy(atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-30))
        """(atoms, K) in double precision, real or complex"""

    def best(
        self, y: Tensor, candidates: Candidates, threads: int, cancellation: Cancellation | None, chunk: int = CHUNK
    ) -> Match:
        """The candidate with the largest normalised inner product for every voxel; the first of several equal ones.

        Args:
            y: (voxels, K) complex coefficients.
            candidates: finds the pairs of voxel and atom that are compared.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop, which is looked at before every chunk.
            chunk: number of voxels that are searched at once.

        Raises CancelledScanError if the search was cancelled.

        """
        sign = cancellation or Cancellation()

        def search(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            sign.check()
            return self._compare(part, candidates)

        with workers(threads) as pool:
            parts = list(pool.map(search, torch.split(y, chunk)))
        place, rho, correlation = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return Match({ATOM: place}, None, rho, correlation)

    def given(self, y: Tensor, place: Tensor) -> Match:
        """The match of voxels (voxels, K) with these atoms (voxels,)."""
        unit, norm = self.scaled(y)
        rho, correlation = self._explained(unit, norm, place)
        return Match({ATOM: place.numpy()}, None, rho.numpy(), correlation.numpy())

    def scaled(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Voxels (voxels, K) divided by their noise and scaled to norm 1, complex128; and their norm (voxels,)."""
        white = y.to(torch.complex128) / self.noise
        norm = torch.linalg.vector_norm(white, dim=1)
        return white / norm.clamp_min(1e-300)[:, None], norm

    def _compare(self, y: Tensor, candidates: Candidates) -> tuple[Tensor, Tensor, Tensor]:
        unit, norm = self.scaled(y)
        voxel, atom = candidates(unit.to(torch.complex64))
        product = (unit[voxel] * self.unit[atom].conj()).sum(-1)
        energy = _power(product)
        best = torch.zeros(len(y), dtype=torch.float64).scatter_reduce_(0, voxel, energy, "amax")
        winner = energy == best[voxel]
        place = torch.full((len(y),), len(self.unit)).scatter_reduce_(0, voxel[winner], atom[winner], "amin")
        place = torch.where(place < len(self.unit), place, 0)
        return place, *self._explained(unit, norm, place)

    def _explained(self, unit: Tensor, norm: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Proton density times exp(i phase), and correlation (voxels,), of voxels of norm 1 with their atoms."""
        found = (unit * self.unit[place].conj()).sum(-1)
        return found * norm / self.norm[place].clamp_min(1e-300), _power(found).sqrt().clamp(max=1)


def times(y: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of the product of complex rows (voxels, K) with a matrix (K, columns) of any kind."""
    if matrix.is_complex():
        product = y @ matrix
        return product.real, product.imag
    rows = torch.view_as_real(y).transpose(1, 2).reshape(-1, len(matrix))  # one product instead of two
    both = (rows @ matrix).view(len(y), 2, matrix.shape[1])
    return both[:, 0], both[:, 1]


def energies(y: Tensor, matrix: Tensor) -> Tensor:
    """The squared absolute values (voxels, columns) of the same product."""
    real, imag = times(y, matrix)
    return real.square().addcmul_(imag, imag)


def _power(x: Tensor) -> Tensor:
    return x.real.square() + x.imag.square()
