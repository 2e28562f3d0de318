"""Exact search for the best single atom, the largest normalised inner product (Ma et al., Nature 2013;495:187).

Every atom of unit norm is written as d = cos(t) u + sin(t) w + e; see `AtomGroups`. With the phase of the voxel chosen
such that <u, y> = a is real and positive, and z the inner products of y with the directions of the group,

    |<d, y>| <= sqrt((a cos(t) + |Re z| sin(t))^2 + (|Im z| sin(t))^2) + |e| |y|,

which for angles up to the largest one of the group is an upper bound of what any of its atoms explains. A group whose
bound is below what an atom of another group reaches need not be searched. The result is the same as that of a
comparison with all atoms; about a tenth of the groups remain.
"""

import torch
from torch import Tensor

from spokestream.gadgets.matching.atom_groups import AtomGroups, atom_groups
from spokestream.gadgets.matching.unit_atoms import ROUNDING, UnitAtoms, energies, times
from spokestream.gadgets.scan.cancellation import Cancellation
from spokestream.simulator.physics.dictionaries.match import Match
from spokestream.simulator.physics.dictionaries.one_pool import OnePoolDictionary
from spokestream.simulator.physics.temporal_basis import TemporalBasis

__all__ = ["OnePoolAtoms"]


class OnePoolAtoms:
    """The atoms of a dictionary of one pool in a temporal basis, divided by their noise."""

    def __init__(self, dictionary: OnePoolDictionary, basis: TemporalBasis) -> None:
        self.dictionary = dictionary
        self.atoms = UnitAtoms(dictionary, basis)
        self._groups = atom_groups(self.atoms.unit.numpy())

    def match(self, y: Tensor, threads: int = 1, cancellation: Cancellation | None = None) -> Match:
        """Find the atom with the largest normalised inner product for every voxel; see `UnitAtoms.best`."""
        return self.atoms.best(y, self._candidates, threads, cancellation)

    def _candidates(self, y: Tensor) -> tuple[Tensor, Tensor]:
        groups = self._groups
        searched = y.abs().amax(1) > 0
        bound = _bounds(y, groups)
        reached = torch.zeros(len(y))
        first = torch.zeros_like(bound, dtype=torch.bool).scatter_(1, bound.argmax(1)[:, None], True)
        found: list[tuple[Tensor, Tensor, Tensor]] = []

        def search(cells: Tensor) -> None:
            for g, voxel in groups.searched_in(cells):
                energy = energies(y[voxel], groups.atoms[g])
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


def _bounds(y: Tensor, groups: AtomGroups) -> Tensor:
    """The largest inner product (voxels, groups) that an atom of the group can have with a voxel of unit norm."""
    real, imag = times(y, groups.centre)
    energy = real.square().addcmul_(imag, imag)
    in_phase, across = torch.zeros_like(energy), torch.zeros_like(energy)  # squares of |Re z| and |Im z|
    for direction in groups.directions:
        z_real, z_imag = times(y, direction)
        across.addcmul_(z_real, z_real).addcmul_(z_imag, z_imag)
        part = z_real.mul(real).addcmul_(z_imag, imag)
        in_phase.addcmul_(part, part)
    in_phase.div_(energy.clamp_min(1e-30))
    across.sub_(in_phase).clamp_min_(0).mul_(groups.sine.square())
    # the in-phase part is largest at the angle where a cos + b sin is, or at the group's largest angle before it
    along, aside = energy.sqrt(), in_phase.sqrt()
    at_most = (along * groups.cosine).addcmul_(aside, groups.sine)
    inside = aside * groups.cosine <= along * groups.sine
    largest = torch.where(inside, energy + in_phase, at_most.square())
    return largest.add_(across).sqrt_().add_(groups.rest)
