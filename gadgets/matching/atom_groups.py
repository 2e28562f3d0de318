"""Groups of similar atoms: every atom is one of at most 256 that differ little from their mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spokestream.gadgets.matching.unit_atoms import ROUNDING

__all__ = ["AtomGroups", "atom_groups"]

LARGEST_GROUP = 256
"""Largest number of atoms in a group. More atoms have larger bounds, and fewer need more bounds."""
DIRECTIONS = 2
"""Number of directions along which a group varies: dictionaries are surfaces over T1 and T2."""


@dataclass(frozen=True)
class AtomGroups:
    """Groups of similar atoms of norm 1.

    An atom is cos(t) u + sin(t) w + e: u is the mean direction of its group, w a unit vector in the few directions
    along which the group varies most, and e the small rest.
    """

    members: tuple[NDArray[np.intp], ...]
    """Numbers of the atoms in every group."""
    atoms: tuple[Tensor, ...]
    """(K, members) for every group, of unit norm, conjugated."""
    centre: Tensor
    """(K, groups) mean direction, conjugated."""
    directions: tuple[Tensor, ...]
    """`DIRECTIONS` times (K, groups): the directions of variation, conjugated."""
    cosine: Tensor
    """(groups,) cosine of the largest angle between a member and the mean direction."""
    sine: Tensor
    """(groups,) sine of this angle."""
    rest: Tensor
    """(groups,) largest norm of the part of a member that is in none of these directions."""

    @staticmethod
    def searched_in(cells: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Every group that is searched in some voxel, and those voxels; cells is a mask (voxels, groups)."""
        group, voxel = cells.T.nonzero().T
        if not len(group):
            return iter(())
        numbers, counts = group.unique_consecutive(return_counts=True)
        return zip(numbers.tolist(), voxel.split(counts.tolist()), strict=True)


def atom_groups(unit: NDArray[Any]) -> AtomGroups:
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
    return AtomGroups(
        tuple(members),
        tuple(torch.from_numpy(np.ascontiguousarray(unit[group].conj().T, single)) for group in members),
        torch.from_numpy(np.ascontiguousarray(np.array(centre).conj().T, single)),
        tuple(
            torch.from_numpy(np.ascontiguousarray(np.array(d).conj().T, single)) for d in zip(*directions, strict=True)
        ),
        torch.tensor(np.cos(angle), dtype=torch.float32),
        torch.tensor(np.sin(angle), dtype=torch.float32),
        torch.tensor(np.array(rest) + ROUNDING, dtype=torch.float32),
    )


def _real_directions(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Energies, ascending, and directions (n, K) along which vectors (m, K) vary, orthonormal in Re<., .>."""
    stacked = np.concatenate([vectors.real, vectors.imag], axis=1) if np.iscomplexobj(vectors) else vectors
    energy, columns = np.linalg.eigh(stacked.T @ stacked)
    k = vectors.shape[1]
    return energy, columns.T if stacked is vectors else columns.T[:, :k] + 1j * columns.T[:, k:]
