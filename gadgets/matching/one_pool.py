"""Exact search for the best single atom, the largest normalised inner product (Ma et al., Nature 2013;495:187).

Every atom of unit norm is written as d = cos(t) u + sin(t) w + e. Here u is the mean direction of its group of similar
atoms, w a unit vector in the few directions along which the group varies most, and e the small rest. With the phase of
the voxel chosen such that <u, y> = a is real and positive, and z the inner products of y with those directions,

    |<d, y>| <= sqrt((a cos(t) + |Re z| sin(t))^2 + (|Im z| sin(t))^2) + |e| |y|,

which for angles up to the largest one of the group is an upper bound of what any of its atoms explains. A group whose
bound is below what an atom of another group reaches need not be searched. The result is the same as that of a
comparison with all atoms; about a tenth of the groups remain.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.gadgets.workers import workers
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import ATOM, OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["OnePoolAtoms"]

CHUNK = 2048
"""Number of voxels that are searched at once; it limits the memory."""
BLOCK = 4096
"""Number of atoms that are projected at once; it limits the memory."""
LARGEST_GROUP = 256
"""Largest number of atoms in a group. More atoms have larger bounds, and fewer need more bounds."""
DIRECTIONS = 2
"""Number of directions along which a group varies: dictionaries are surfaces over T1 and T2."""
ROUNDING = 1e-5
"""Relative allowance for rounding errors of single precision; candidates within it are compared in double precision."""


@dataclass(frozen=True)
class _Groups:
    """Groups of similar atoms."""

    members: tuple[NDArray[np.intp], ...]
    """Numbers of the atoms in every group."""
    atoms: tuple[Tensor, ...]
    """(K, members) for every group, of unit norm, conjugated."""
    centre: Tensor
    """(K, groups) mean direction, conjugated."""
    directions: Tensor
    """(K, groups * DIRECTIONS) directions of variation, conjugated."""
    angle: Tensor
    """(groups,) largest angle between a member and the mean direction."""
    rest: Tensor
    """(groups,) largest norm of the part of a member that is in none of these directions."""


class OnePoolAtoms:
    """The atoms of a dictionary of one pool in a temporal basis, divided by their noise."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        blocks = [dictionary.atoms[first : first + BLOCK] for first in range(0, len(dictionary.atoms), BLOCK)]
        atoms = np.concatenate([basis.project(block) for block in blocks]) / basis.noise
        self._noise = torch.from_numpy(basis.noise.astype(np.float64))
        self._norm = torch.from_numpy(np.linalg.norm(atoms, axis=1))
        unit = atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-30)
        self._unit = torch.from_numpy(unit)
        self._groups = _grouped(unit)

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the atom with the largest normalised inner product for every voxel; the first of several equal ones.

        Args:
            y: (voxels, K) complex coefficients.
            threads: CPU threads; the result does not depend on their number.
            cancellation: the sign to stop, which is looked at before every chunk.

        Raises CancelledScanError if the search was cancelled.

        """
        sign = cancellation or Cancellation()

        def search(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            sign.check()
            return self._search(part)

        with workers(threads) as pool:
            parts = list(pool.map(search, torch.split(y, CHUNK)))
        place, rho, correlation = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return Match({ATOM: place}, None, rho, correlation)

    def _search(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        white = y.to(torch.complex128) / self._noise
        norm = torch.linalg.vector_norm(white, dim=1)
        unit = white / norm.clamp_min(1e-300)[:, None]
        voxel, atom = self._candidates(unit.to(torch.complex64), norm > 0)
        product = (unit[voxel] * self._unit[atom].conj()).sum(-1)
        energy = _power(product)
        best = torch.zeros(len(y), dtype=torch.float64).scatter_reduce_(0, voxel, energy, "amax")
        winner = energy == best[voxel]
        place = torch.full((len(y),), len(self._unit)).scatter_reduce_(0, voxel[winner], atom[winner], "amin")
        place = torch.where(norm > 0, place, 0)
        found = (unit * self._unit[place].conj()).sum(-1)
        return place, found * norm / self._norm[place].clamp_min(1e-300), best.sqrt().clamp(max=1)

    def _candidates(self, y: Tensor, searched: Tensor) -> tuple[Tensor, Tensor]:
        """Voxel and atom of every pair that may be the best, for voxels (voxels, K) of unit norm."""
        groups = self._groups
        bound = _bounds(y, groups)
        reached = torch.zeros(len(y))
        first = torch.zeros_like(bound, dtype=torch.bool).scatter_(1, bound.argmax(1)[:, None], True)
        found: list[tuple[Tensor, Tensor, Tensor]] = []

        def search(cells: Tensor) -> None:
            for g in cells.any(0).nonzero()[:, 0].tolist():
                voxel = cells[:, g].nonzero()[:, 0]
                energy = _power(_times(y[voxel], groups.atoms[g]))
                reached[voxel] = torch.maximum(reached[voxel], energy.amax(1))
                row, member = (energy >= reached[voxel, None] * (1 - ROUNDING)).nonzero().T
                found.append((voxel[row], torch.from_numpy(groups.members[g])[member], energy[row, member]))

        search(first & searched[:, None])
        search((bound >= reached[:, None].sqrt() * (1 - ROUNDING)) & ~first & searched[:, None])
        if not found:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        voxel, atom, energy = (torch.cat(column) for column in zip(*found, strict=True))
        kept = energy >= reached[voxel] * (1 - ROUNDING)
        return voxel[kept], atom[kept]


def _bounds(y: Tensor, groups: _Groups) -> Tensor:
    """The largest inner product (voxels, groups) that an atom of the group can have with a voxel of unit norm."""
    centre = _times(y, groups.centre)
    along = centre.abs()
    phase = centre / along.clamp_min(1e-30)
    z = _times(y, groups.directions).view(len(y), -1, DIRECTIONS) * phase.conj()[..., None]
    in_phase, across = z.real.square().sum(-1).sqrt(), z.imag.square().sum(-1)
    # the in-phase part is largest at the angle where a cos + b sin is, or at the group's largest angle before it
    at_most = torch.minimum(torch.atan2(in_phase, along), groups.angle)
    largest = along * at_most.cos() + in_phase * at_most.sin()
    bound: Tensor = (largest.square() + across * groups.angle.sin().square()).sqrt() + groups.rest
    return bound


def _grouped(unit: NDArray[Any]) -> _Groups:
    """Group atoms (atoms, K) of unit norm, which are halved along their largest variation until groups are small."""
    waiting, members = [np.arange(len(unit))], []
    while waiting:
        group = waiting.pop()
        if len(group) <= LARGEST_GROUP:
            members.append(group)
            continue
        _, vectors = _real_directions(unit[group] - unit[group].mean(0))
        order = (unit[group] @ vectors[-1].conj()).real.argsort(kind="stable")
        waiting += [group[order[: len(group) // 2]], group[order[len(group) // 2 :]]]
    centre, directions, angle, rest = [], [], [], []
    for group in members:
        atoms = unit[group]
        mean = atoms.mean(0)
        mean = mean / max(np.linalg.norm(mean), 1e-30)
        along = (atoms @ mean.conj()).real
        across = atoms - along[:, None] * mean
        _, vectors = _real_directions(across)
        chosen = np.zeros((DIRECTIONS, unit.shape[1]), unit.dtype)
        chosen[: min(DIRECTIONS, len(vectors))] = vectors[-DIRECTIONS:]
        parts = (across @ chosen.conj().T).real
        centre.append(mean)
        directions.append(chosen)
        angle.append(min(np.arctan2(np.linalg.norm(parts, axis=1), along).max(), np.pi / 2))
        rest.append(np.linalg.norm(across - parts @ chosen, axis=1).max())
    single = np.complex64 if np.iscomplexobj(unit) else np.float32
    return _Groups(
        tuple(members),
        tuple(torch.from_numpy(np.ascontiguousarray(unit[group].conj().T, single)) for group in members),
        torch.from_numpy(np.ascontiguousarray(np.array(centre).conj().T, single)),
        torch.from_numpy(np.ascontiguousarray(np.concatenate(directions).conj().T, single)),
        torch.tensor(np.array(angle), dtype=torch.float32),
        torch.tensor(np.array(rest) + ROUNDING, dtype=torch.float32),
    )


def _real_directions(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Energies, ascending, and directions (n, K) along which vectors (m, K) vary, orthonormal in Re<., .>."""
    stacked = np.concatenate([vectors.real, vectors.imag], axis=1) if np.iscomplexobj(vectors) else vectors
    energy, columns = np.linalg.eigh(stacked.T @ stacked)
    k = vectors.shape[1]
    return energy, columns.T if stacked is vectors else columns.T[:, :k] + 1j * columns.T[:, k:]


def _times(y: Tensor, matrix: Tensor) -> Tensor:
    """The product of complex rows (voxels, K) with a matrix (K, columns), which may be real."""
    if matrix.is_complex():
        return y @ matrix
    return torch.complex(y.real @ matrix, y.imag @ matrix)


def _power(x: Tensor) -> Tensor:
    return x.real.square() + x.imag.square()
